/**
 * Bytes and text of the relay's sockets, both ways, for server and client alike. Decoding never throws: a message that
 * does not fit is a named refusal, and nothing is allocated in proportion to what a message claims.
 *
 *   binary message := kind:u8  ( length:u16be  frame:bytes[length] )*      1..64 frames
 */
import * as v from 'valibot';
import {
  FrameMessageKind,
  MAX_BATCH_FRAMES,
  MAX_BINARY_MESSAGE_BYTES,
  MAX_FRAME_BYTES,
  MAX_TEXT_MESSAGE_BYTES,
  lastWordSchema,
  type LastWord,
} from './relay-protocol.ts';

export type FrameKind = keyof typeof FrameMessageKind;

type BinaryRefusal = 'message-too-long' | 'message-empty' | 'unknown-kind' | 'frame-truncated' | 'frame-empty' | 'frame-oversized' | 'too-many-frames';
export type TextRefusal = 'message-too-long' | 'not-json' | 'unknown-message';

export type DecodedFrames =
  { readonly ok: true; readonly kind: FrameKind; readonly frames: readonly Uint8Array[] } | { readonly ok: false; readonly refusal: BinaryRefusal };

/** One binary message of 1 to MAX_BATCH_FRAMES frames, each of 1 to MAX_FRAME_BYTES bytes. Throws RangeError otherwise. */
export function encodeFrames(kind: FrameKind, frames: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  if (frames.length === 0 || frames.length > MAX_BATCH_FRAMES) throw new RangeError(`A message carries 1 to ${MAX_BATCH_FRAMES} frames, not ${frames.length}`);
  let size = 1;
  for (const frame of frames) {
    if (frame.length === 0 || frame.length > MAX_FRAME_BYTES) throw new RangeError(`A frame has 1 to ${MAX_FRAME_BYTES} bytes, not ${frame.length}`);
    size += 2 + frame.length;
  }
  const message = new Uint8Array(size);
  message[0] = FrameMessageKind[kind];
  let at = 1;
  for (const frame of frames) {
    message[at] = frame.length >> 8;
    message[at + 1] = frame.length & 0xff;
    message.set(frame, at + 2);
    at += 2 + frame.length;
  }
  return message;
}

/** Splits any number of frames into messages. */
export function* encodeBatches(kind: FrameKind, frames: readonly Uint8Array[]): Generator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < frames.length; at += MAX_BATCH_FRAMES) yield encodeFrames(kind, frames.slice(at, at + MAX_BATCH_FRAMES));
}

/** The frames are views into `message`, not copies. */
export function decodeFrames(message: Uint8Array): DecodedFrames {
  const refused = (refusal: BinaryRefusal): DecodedFrames => ({ ok: false, refusal });
  if (message.length > MAX_BINARY_MESSAGE_BYTES) return refused('message-too-long');
  if (message.length < 2) return refused('message-empty');
  const kind = message[0] === FrameMessageKind.frames ? 'frames' : message[0] === FrameMessageKind.returned ? 'returned' : null;
  if (kind === null) return refused('unknown-kind');
  const frames: Uint8Array[] = [];
  let at = 1;
  while (at < message.length) {
    if (at + 2 > message.length) return refused('frame-truncated');
    const length = ((message[at] ?? 0) << 8) | (message[at + 1] ?? 0);
    at += 2;
    if (length === 0) return refused('frame-empty');
    if (length > MAX_FRAME_BYTES) return refused('frame-oversized');
    if (at + length > message.length) return refused('frame-truncated');
    if (frames.length === MAX_BATCH_FRAMES) return refused('too-many-frames');
    frames.push(message.subarray(at, at + length));
    at += length;
  }
  return { ok: true, kind, frames };
}

/** A message `M` as the bytes that every socket carries. */
export interface EncodedText<M> {
  readonly utf8: Uint8Array;
  /** Never set: it only keeps the messages of different kinds of socket apart. */
  readonly message?: M;
}

export function encodeText<M>(message: M): EncodedText<M> {
  return { utf8: new TextEncoder().encode(JSON.stringify(message)) };
}

export type DecodedText<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: TextRefusal };

/** Parses a text message against a schema of relay-protocol.ts. */
export function decodeText<S extends v.GenericSchema>(schema: S, text: string): DecodedText<v.InferOutput<S>> {
  // The relay wraps a host's body once more, so a little slack beyond the sender's own limit.
  if (text.length > MAX_TEXT_MESSAGE_BYTES * 2) return { ok: false, refusal: 'message-too-long' };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { ok: false, refusal: 'not-json' };
  }
  const result = v.safeParse(schema, json);
  return result.success ? { ok: true, value: result.output } : { ok: false, refusal: 'unknown-message' };
}

/** Null if `value` is not a last word. */
export function decodeLastWord(value: unknown): LastWord | null {
  const parsed = v.safeParse(lastWordSchema, value);
  return parsed.success ? parsed.output : null;
}
