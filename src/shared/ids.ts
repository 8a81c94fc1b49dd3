/** Branded identifiers: a string of one kind cannot be used as one of another kind. */
declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

export type RoomName = Brand<string, 'RoomName'>;
export type HostId = Brand<string, 'HostId'>;
export type VmId = Brand<string, 'VmId'>;
export type MigrationId = Brand<string, 'MigrationId'>;
/** Lower-case, colon-separated, e.g. `02:5a:00:00:00:02`. */
export type MacAddress = Brand<string, 'MacAddress'>;
/** Dotted quad. */
export type Ipv4Address = Brand<string, 'Ipv4Address'>;
/** The lease's fencing number: starts at 1, rises by one with every change of owner. */
export type LeaseEpoch = Brand<number, 'LeaseEpoch'>;
