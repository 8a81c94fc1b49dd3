import type { Counters } from '../../shared/counters.ts';

/** Everything the gateway drops, refuses or does again has a name here, and is counted under it. */
export type CounterName =
  | 'frames-in' // frames received from the switch
  | 'frames-out' // frames sent to the switch
  | 'bytes-in' // bytes of frames received
  | 'bytes-out' // bytes of frames sent
  | 'ethernet-truncated' // frame shorter than its header
  | 'ethernet-oversized' // frame longer than the LAN allows
  | 'ethernet-group-source' // frame that claims a broadcast or multicast address as its own
  | 'ethernet-not-for-us' // frame for another station (the switch floods unknown ones)
  | 'ethernet-unknown-type' // frame that is neither IPv4 nor ARP
  | 'ipv6-unsupported' // IPv6 frame; the LAN is IPv4 only
  | 'unknown-sender' // frame from a MAC address without a lease
  | 'neighbours-too-many' // machine of a real network that found no place in the table
  | 'spoofed-ip' // packet or ARP whose source address is not the one leased to its MAC
  | 'spoofed-gateway' // frame or ARP that claims the gateway's own address
  | 'arp-malformed' // ARP that does not parse, or not IPv4 over Ethernet
  | 'ipv4-malformed' // IPv4 header that does not parse
  | 'ipv4-bad-checksum' // IPv4 header checksum wrong
  | 'ipv4-source-routed' // IPv4 packet with a source route
  | 'ipv4-not-for-us' // broadcast or multicast packet that no service here wants
  | 'ipv4-unknown-protocol' // IPv4 packet that is neither ICMP, TCP nor UDP
  | 'ipv4-unroutable' // packet of ours to an address of the LAN that nobody leased
  | 'fragments-overlapping' // datagram dropped whole because its fragments overlap
  | 'fragments-malformed' // fragment of impossible size or place
  | 'fragments-too-many' // fragment dropped because too many datagrams are incomplete
  | 'fragments-expired' // datagram whose missing fragments never came
  | 'icmp-malformed' // ICMP that does not parse
  | 'icmp-bad-checksum' // ICMP checksum wrong
  | 'icmp-ignored' // ICMP message that needs no answer
  | 'icmp-limited' // ICMP error not sent because of the rate limit
  | 'ping-duplicates' // second answer to one echo request of ours
  | 'ping-late' // answer to an echo request that was already given up as lost
  | 'udp-malformed' // UDP that does not parse
  | 'udp-bad-checksum' // UDP checksum wrong
  | 'udp-refused' // UDP to a port where nobody listens
  | 'tcp-malformed' // TCP that does not parse
  | 'tcp-bad-checksum' // TCP checksum wrong
  | 'tcp-refused' // TCP segment for no connection, answered with a reset
  | 'tcp-too-many' // TCP connection refused because there are too many
  | 'tcp-retransmitted' // TCP segments sent again
  | 'tcp-timeouts' // TCP retransmission timeouts
  | 'tcp-spurious-timeouts' // timeouts after which the original turned out to have arrived
  | 'tcp-window-probes' // probes of a closed window
  | 'tcp-challenged' // segments outside the window that were answered with a challenge ACK
  | 'tcp-given-up' // connections given up because the peer was silent
  | 'dhcp-malformed' // DHCP message that does not parse
  | 'dhcp-unknown-client' // DHCP from a MAC address without a lease
  | 'dhcp-answered' // DHCP offers and acknowledgments
  | 'dhcp-refused' // DHCP requests for an address that is not the client's
  | 'dhcp-declined' // DHCP declines: the guest saw its address in use
  | 'dhcp-released' // DHCP releases (the lease stays with the VM)
  | 'dns-malformed' // DNS query that does not parse
  | 'dns-answered' // DNS queries answered
  | 'dns-refused' // DNS queries for outside names while outbound is off
  | 'dns-failed' // DNS queries the system resolver could not answer
  | 'dns-busy' // DNS queries refused because too many are under way
  | 'forward-opened' // connections taken on forwarded ports
  | 'forward-refused' // connections on forwarded ports that the guest refused or never answered
  | 'forward-too-many' // connections on forwarded ports beyond the limit of a VM
  | 'outbound-opened' // connections from guests to the outside
  | 'outbound-off' // packets to the outside while outbound is off
  | 'outbound-not-allowed' // packets to the outside that the allow list forbids
  | 'outbound-inner' // packets to private networks, cloud metadata or the host machine itself that no rule names
  | 'outbound-failed' // connections to the outside that could not be made
  | 'outbound-too-many' // outside connections or UDP flows beyond the limit of a VM
  | 'outbound-unsupported' // packets to the outside that are neither TCP nor UDP
  | 'reentrant-overflow' // frames lost because a station answered faster than it was asked
  | 'internal-errors'; // defects of the gateway: please report them

export type GatewayCounters = Counters<CounterName>;
