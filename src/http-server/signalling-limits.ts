/**
 * Limits on what strangers may use of the signalling server, each with its reason. Refusals are counted under the
 * limit's name (SignallingRefusal), and `GET /api/relay` shows them.
 */

/** `full`: sockets open at once. More tabs than any room full of people has. */
export const MAX_SOCKETS = 2000;
/** `address-full`: sockets of one address. Two full rooms (128 hosts each) behind one router. Loopback has no limit: a proxy on this machine speaks for everybody. */
export const MAX_SOCKETS_PER_ADDRESS = 256;
/** `malformed`: of an id or a token. A tab's own have 16 and 32 characters. */
export const MAX_NAME_CHARACTERS = 64;

/** `too-long`: one message. An offer with many candidates has about 5 KiB. */
export const MAX_MESSAGE_BYTES = 64 * 1024;
/** `malformed`: how deep a message's payload is nested (PeerJS: 3). JSON nested thousands deep can be parsed, but not serialised again. */
export const MAX_PAYLOAD_DEPTH = 8;
/** `malformed`: values in a payload (PeerJS: 12). Parsed, `{}` takes thirty times the memory of its text. */
export const MAX_PAYLOAD_VALUES = 64;

/** `too-fast`: a message costs one token per KiB, rounded up. To join a full room takes 127 offers with some ten candidates each: about 1700 tokens. */
export const BYTES_PER_TOKEN = 1024;
export const TOKENS_PER_SECOND = 200;
export const TOKEN_BURST = 4000;

/** Added to the text of each waiting message: what Node keeps for it. */
export const MESSAGE_OVERHEAD_BYTES = 1024;
/** `too-slow`: unsent for one receiver, beyond what the system's own buffers hold. All offers of a full room are half of it. */
export const MAX_WAITING_BYTES_PER_RECEIVER = 1024 * 1024;
/** `waiting-full`: unsent for all receivers. The receiver with the most is disconnected. */
export const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/** How long a message waits for a peer that is not there: a tab whose socket broke returns in 2 s. */
export const ABSENT_EXPIRE_MS = 5000;
/** Interval at which peer looks for expired messages. */
export const ABSENT_CLEANUP_MS = 1000;
/** `absent-full`: waiting for one peer that is not there. */
export const MAX_ABSENT_BYTES_PER_PEER = 512 * 1024;
/** `absent-full`: waiting for all peers that are not there. */
export const MAX_ABSENT_BYTES = 16 * 1024 * 1024;

/** A tab sends a heartbeat every 5 s; one that missed nine is gone. */
export const ALIVE_TIMEOUT_MS = 45_000;

/** `origin`: another site's page. The others stand beside the limits above. */
export type SignallingRefusal = 'origin' | 'full' | 'address-full' | 'malformed' | 'too-long' | 'too-fast' | 'too-slow' | 'waiting-full' | 'absent-full';
