/** Figures as people read them. Bytes are decimal (1 MB = 1,000,000 bytes), memory sizes binary (1 MiB = 1,048,576). */

/** `812 bytes`, `41.9 kB`, `2.2 MB`, `1.3 GB`. */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes) || bytes < 0) return '–';
  if (bytes < 1000) return `${Math.round(bytes)} bytes`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes / 1000;
  let unit = 0;
  // 999.95 would be written as "1000.0".
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${threeDigits(value)} ${units[unit] ?? ''}`;
}

/** `18.4 MB/s`; `–` as long as nothing was measured. */
export function formatRate(bytesPerSecond: number): string {
  return bytesPerSecond > 0 && Number.isFinite(bytesPerSecond) ? `${formatBytes(bytesPerSecond)}/s` : '–';
}

/** `0.8 ms`, `31 ms`, `1.24 s`, `2 min 5 s`. */
export function formatMs(ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) return '–';
  if (ms < 9.95) return `${trimZero(ms.toFixed(1))} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9_995) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** `12,345`. */
export function formatCount(count: number): string {
  return Number.isFinite(count) ? Math.round(count).toLocaleString('en-US') : '–';
}

/** `128 MiB`. */
export function formatMemory(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}

/** `1 round`, `3 rounds`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** Time of day, `14:03:09`, in the reader's own zone. */
export function formatTime(at: number): string {
  const time = new Date(at);
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
}

function threeDigits(value: number): string {
  if (value >= 99.95) return value.toFixed(0);
  return trimZero(value.toFixed(1));
}

function trimZero(text: string): string {
  return text.replace(/\.0$/, '');
}
