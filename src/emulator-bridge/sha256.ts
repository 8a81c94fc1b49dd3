/** SHA-256 of whole artefacts and chunks. */
import { createSHA256 } from 'hash-wasm';

let fallback: ReturnType<typeof createSHA256> | null = null;

/** 32 bytes. By the platform, which does it beside the thread and faster; over plain http, where browsers refuse that, by WebAssembly. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const { subtle } = globalThis.crypto as Partial<Crypto>;
  if (subtle !== undefined) return new Uint8Array(await subtle.digest('SHA-256', bytes));
  const hasher = await (fallback ??= createSHA256());
  return hasher.init().update(bytes).digest('binary');
}
