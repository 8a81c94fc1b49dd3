/**
 * The guest set: what the recipe makes, the server serves under /guest/, and the page loads. Every artefact is named by
 * its digest (`/guest/<sha256>/<name>`), so that it can be cached for ever and never mixed with another version.
 */
import * as v from 'valibot';

const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const size = v.pipe(v.number(), v.integer(), v.minValue(0));

const artefactSchema = v.object({ name: v.string(), bytes: size, sha256 });

export const guestManifestSchema = v.object({
  format: v.literal(1),
  /** Built from this recipe version and these packages. */
  recipe: v.string(),
  v86Version: v.string(),
  memoryBytes: size,
  bios: artefactSchema,
  vgaBios: artefactSchema,
  /** The emulator, rewritten with write tracking. */
  emulator: artefactSchema,
  /** Raw ext4 image as it stands when the snapshot is taken. */
  disk: artefactSchema,
  /** SHA-256 of each chunk of the disk image, concatenated as 32-byte records: checks what Range requests return. */
  diskChunks: artefactSchema,
  diskChunkBytes: size,
  /** Base snapshot (base-snapshot.ts), zstd-compressed. */
  snapshot: artefactSchema,
  packages: v.array(v.object({ name: v.string(), version: v.string(), licence: v.string(), source: v.string() })),
});

export type GuestManifest = v.InferOutput<typeof guestManifestSchema>;
export type GuestArtefact = v.InferOutput<typeof artefactSchema>;
