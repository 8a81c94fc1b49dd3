import { randomBytes } from 'node:crypto';

/** A room of a test's own: nothing of another test can be in it. */
export interface Room {
  readonly name: string;
  readonly key: string;
  /** The whole address of the room at a server. */
  address(origin: string, query?: Readonly<Record<string, string>>): string;
  /** `GET /api/rooms/NAME`, as a tool would ask. */
  describe(origin: string): Promise<RoomState>;
}

interface RoomState {
  readonly gateway?: Readonly<Record<string, number>>;
  readonly hosts: readonly { readonly id: string; readonly name: string }[];
  readonly ended: readonly { readonly id: string; readonly name: string; readonly hostName: string | null; readonly how: string }[];
  readonly vms: readonly {
    readonly id: string;
    readonly mac: string;
    readonly ip: string;
    readonly ownerHostId: string;
    readonly epoch: number;
    readonly forwards: readonly { readonly guestPort: number; readonly hostPort: number }[];
  }[];
}

export function newRoom(): Room {
  return roomWith(`test-${randomBytes(6).toString('hex')}`, randomBytes(24).toString('base64url'));
}

export function roomWith(name: string, key: string): Room {
  return {
    name,
    key,
    address(origin, query = {}) {
      const url = new URL('/', origin);
      url.searchParams.set('room', name);
      for (const [parameter, value] of Object.entries(query)) url.searchParams.set(parameter, value);
      url.hash = key;
      return url.href;
    },
    async describe(origin) {
      const answer = await fetch(`${origin}/api/rooms/${name}`, { headers: { Authorization: `Bearer ${key}` } });
      if (!answer.ok) throw new Error(`The server answered ${answer.status} about room ${name}: ${await answer.text()}`);
      return (await answer.json()) as RoomState;
    },
  };
}
