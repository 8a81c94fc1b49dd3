/**
 * DNS for the guests. The names of the room are answered from the lease table; every other name by the system's
 * resolver if guests may reach the outside, otherwise it is refused at once. IPv4 addresses only.
 */
import { parseIpv4Address } from './address.ts';
import type { GatewayCounters } from './gateway-counters.ts';
import { DnsClass, DnsCode, DnsType, parseDnsQuery, serializeDnsAnswer, type DnsQuery } from './dns-message.ts';

export const DNS_PORT = 53;
/** A VM may come and go at any time. */
const LOCAL_TTL_SECONDS = 5;
/** The system's resolver does not say how long an answer is valid. */
const OUTSIDE_TTL_SECONDS = 60;
/** Lookups in progress, of all guests and of one guest: the system works on few at a time, and a guest may send queries without end. */
const MAX_LOOKUPS = 64;
const MAX_LOOKUPS_PER_GUEST = 16;

export interface DnsServerOptions {
  readonly domain: string;
  readonly counters: GatewayCounters;
  /** Address of a bare name of the room, or null. */
  readonly localAddress: (name: string) => number | null;
  /** The address under which guests reach the host machine's own loopback. */
  readonly hostAddress: number;
  /** Null while guests may not reach the outside. Rejects with an Error whose message is a code. */
  readonly resolve: ((name: string) => Promise<string[]>) | null;
}

export class DnsServer {
  private readonly options: DnsServerOptions;
  private lookups = 0;
  private readonly lookupsOf = new Map<number, number>();

  constructor(options: DnsServerOptions) {
    this.options = options;
  }

  /** A query from `guestIp`. Answers by `reply`, at once or later. Never throws. */
  receive(payload: Uint8Array, guestIp: number, reply: (payload: Uint8Array) => void): void {
    const { counters, resolve } = this.options;
    const query = parseDnsQuery(payload);
    if (query === 'dns-malformed') {
      counters.add(query);
      return;
    }
    const local = this.localName(query.name);
    const answer = (code: number, addresses: number[] = []): void => {
      counters.add('dns-answered');
      reply(
        serializeDnsAnswer(query, { code, authoritative: local !== null, addresses, ttlSeconds: local === null ? OUTSIDE_TTL_SECONDS : LOCAL_TTL_SECONDS }),
      );
    };
    if (query.class !== DnsClass.internet) answer(DnsCode.notImplemented);
    else if (local !== null) {
      const address = this.options.localAddress(local);
      if (address === null) answer(DnsCode.noSuchName);
      else answer(DnsCode.ok, query.type === DnsType.a || query.type === DnsType.any ? [address] : []);
    } else if (resolve === null) {
      counters.add('dns-refused');
      answer(DnsCode.refused);
    } else if (query.type === DnsType.aaaa) answer(DnsCode.ok);
    else if (query.type !== DnsType.a) answer(DnsCode.notImplemented);
    else this.lookUp(query, guestIp, resolve, answer);
  }

  /** The bare name if it is one of the room's: without a dot, or in its domain. Null for all others. */
  private localName(name: string): string | null {
    const suffix = `.${this.options.domain}`;
    if (name.endsWith(suffix)) return name.slice(0, -suffix.length);
    return name.includes('.') ? null : name;
  }

  private lookUp(query: DnsQuery, guestIp: number, resolve: (name: string) => Promise<string[]>, answer: (code: number, addresses?: number[]) => void): void {
    const { counters } = this.options;
    const ofGuest = this.lookupsOf.get(guestIp) ?? 0;
    if (this.lookups >= MAX_LOOKUPS || ofGuest >= MAX_LOOKUPS_PER_GUEST) {
      counters.add('dns-busy');
      answer(DnsCode.serverFailure);
      return;
    }
    this.lookups++;
    this.lookupsOf.set(guestIp, ofGuest + 1);
    const over = (): void => {
      this.lookups--;
      const left = (this.lookupsOf.get(guestIp) ?? 1) - 1;
      if (left === 0) this.lookupsOf.delete(guestIp);
      else this.lookupsOf.set(guestIp, left);
    };
    resolve(query.name).then(
      (addresses) => {
        over();
        answer(DnsCode.ok, this.asSeenByGuests(addresses));
      },
      (error: unknown) => {
        over();
        const code = error instanceof Error ? error.message : '';
        if (code !== 'ENOTFOUND') counters.add('dns-failed');
        answer(code === 'ENOTFOUND' ? DnsCode.noSuchName : DnsCode.serverFailure);
      },
    );
  }

  /** The host machine's loopback is not the guest's: guests reach it, if allowed, under the gateway's address. */
  private asSeenByGuests(addresses: readonly string[]): number[] {
    const seen = new Set<number>();
    for (const text of addresses) {
      const address = parseIpv4Address(text);
      if (address !== null) seen.add(address >>> 24 === 127 ? this.options.hostAddress : address);
    }
    return [...seen];
  }
}
