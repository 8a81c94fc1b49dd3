/** The room's key and the addresses made of it: what this browser remembers, what the address bar shows, the invitation. */
import type { RoomApi } from './room-api.ts';
import { invitation, ownersAddress, ownerSecretFor, rememberKey, rememberOwner, type KeyStorage, type RoomAccess } from './room-key.ts';
import { isLoopback } from '../shared/loopback.ts';

export interface RoomAddressOptions {
  readonly access: RoomAccess;
  /** The page's address when it was opened. */
  readonly address: URL;
  readonly storage: KeyStorage | null;
  /** The address bar should show this one. */
  readonly show: (address: string) => void;
}

export class RoomAddress {
  /** The owner's secret, if the room's owner opened the page. */
  readonly ownerSecret: string;
  private readonly options: RoomAddressOptions;
  private roomKey: string;
  /** Where other computers reach a server that this page reaches by loopback. */
  private outside: string | null = null;

  constructor(options: RoomAddressOptions) {
    const { access, storage } = options;
    this.options = options;
    this.roomKey = access.ok ? access.key : '';
    this.ownerSecret = (access.ok ? access.ownerSecret : undefined) ?? ownerSecretFor(access.room, storage);
  }

  /** The room's key as far as this tab knows it; '' without access. */
  get key(): string {
    return this.roomKey;
  }

  /** The room's address at this page's origin. */
  get here(): string {
    const { access, address } = this.options;
    return access.ok ? invitation(address, access.room, this.roomKey) : address.href;
  }

  /** The room's address for others. */
  get invitation(): string {
    const { access, address } = this.options;
    return this.outside === null ? this.here : invitation(new URL(address.pathname, this.outside), access.room, this.roomKey);
  }

  get othersCanJoin(): boolean {
    return this.outside !== null || !isLoopback(this.options.address.hostname);
  }

  /** Anybody who opens this address is the room's owner. */
  get owners(): string {
    return ownersAddress(this.invitation, this.ownerSecret);
  }

  /** The room has accepted key and code, and the owner's secret if `isOwner`. */
  accepted(isOwner: boolean): void {
    const { access, storage, show } = this.options;
    if (!access.ok) return;
    rememberKey(access.room, this.roomKey, storage, access.openCode);
    if (isOwner) rememberOwner(access.room, this.ownerSecret, storage);
    if (access.made || access.openCode !== undefined || access.ownerSecret !== undefined) show(this.here);
  }

  /** The room has this key now. True if that is new. */
  changed(key: string): boolean {
    const { access, storage, show } = this.options;
    if (!access.ok || key === this.roomKey) return false;
    this.roomKey = key;
    rememberKey(access.room, key, storage);
    show(this.here);
    return true;
  }

  /** Asks the server for an address for others, where this page cannot know one. True if there is one. */
  async learnOutside(api: Pick<RoomApi, 'addresses'>): Promise<boolean> {
    if (!isLoopback(this.options.address.hostname)) return false;
    // If the server gives no address, the page says how to invite others.
    const [outside] = await api.addresses().catch(() => []);
    this.outside = outside ?? null;
    return this.outside !== null;
  }
}
