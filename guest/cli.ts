import { ensureGuest } from './ensure-guest.ts';
await ensureGuest({ onProgress: (line) => console.log(line) });
