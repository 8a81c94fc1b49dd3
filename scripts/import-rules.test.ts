import { fileURLToPath } from 'node:url';
import { ESLint } from 'eslint';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The messages of the import rules for a file of this path and text; the file need not exist. */
async function messages(path: string, text: string): Promise<string[]> {
  const eslint = new ESLint({
    cwd: root,
    // Typed rules would need the file to belong to a project; the import rules look at the text alone.
    overrideConfig: [{ files: ['**/*.ts'], languageOptions: { parserOptions: { projectService: false, project: null, program: null } } }],
    ruleFilter: ({ ruleId }) => ruleId === 'no-restricted-imports' || ruleId === 'no-restricted-syntax' || ruleId === 'house/single-owner',
  });
  const [result] = await eslint.lintText(text, { filePath: `${root}${path}` });
  return result!.messages.filter((message) => message.ruleId !== null || message.fatal === true).map((message) => message.message);
}

describe('the import rules', () => {
  it.each([
    ['src/shared/x.ts', `import '../migration/ports.ts';`, 'src/shared may import only: shared'],
    ['src/shared/x.ts', `import 'valibot';`, 'src/shared imports no package'],
    ['src/migration/x.ts', `import type { Machine } from '../emulator-bridge/machine.ts';`, 'Take what you need as a parameter'],
    ['src/migration/x.ts', `import 'node:fs';`, 'src/migration may import only these packages: valibot'],
    ['src/link/x.ts', `import '../net-relay/protocol/relay-protocol.ts';`, 'src/link may import only'],
    ['src/emulator-bridge/x.ts', `import '../link/lane-core.ts';`, 'src/emulator-bridge may import only'],
    ['src/net-relay/lan/x.ts', `import '../server/room.ts';`, 'src/net-relay/lan may import of src/net-relay only: lan, protocol, limits'],
    ['src/net-relay/arbiter/x.ts', `import '../../host/tab.ts';`, 'src/net-relay may import only'],
    ['src/host/x.ts', `import '../net-relay/lan/switch.ts';`, 'the rest runs in the server'],
    ['src/host/x.ts', `import '../ui/dom.ts';`, 'src/host may import only'],
    ['src/host/x.ts', `import '../vm-host/vm-host.ts';`, 'of src/vm-host'],
    ['src/vm-host/x.ts', `import '../host/tab.ts';`, 'src/vm-host may import only'],
    ['src/ui/x.ts', `import '../main.ts';`, 'composition happens in src/main.ts'],
    ['src/http-server/x.ts', `import '../emulator-bridge/machine.ts';`, 'src/http-server may import only'],
    ['src/emulator-bridge/x.ts', `import { V86 } from 'v86';`, "Only src/emulator-bridge/v86-api.ts imports 'v86'"],
    ['src/link/x.ts', `import 'peerjs';`, "Only src/link/peer-signalling.ts imports 'peerjs'"],
    ['src/net-relay/x.ts', `import 'ws';`, "Only src/net-relay/server/web-socket-server.ts and src/net-relay/node-client/node-socket.ts imports 'ws'"],
    ['src/link/x.ts', `export const peer = await import('peerjs');`, "Only src/link/peer-signalling.ts imports 'peerjs'"],
    ['src/http-server/x.ts', `import 'peer';`, "Only src/http-server/signalling.ts imports 'peer'"],
    ['src/http-server/x.ts', `import '../../scripts/x.ts';`, 'src may import of the folders beside it only: none'],
    ['src/net-relay/x.ts', `import { x } from '../../guest/guest-set.ts';`, 'src may import of the folders beside it only: none'],
    ['guest/image/x.ts', `import '../../e2e/harness/poll-for.ts';`, 'guest may import of the folders beside it only: src'],
    ['e2e/harness/x.ts', `export * from '../../scripts/test.ts';`, 'e2e may import of the folders beside it only: src, guest'],
    ['bench/x.ts', `export const x = await import('../scripts/test.ts');`, 'bench may import of the folders beside it only: src, guest, e2e'],
    ['scripts/x.ts', `import '../bench/cli.ts';`, 'scripts may import of the folders beside it only: src, guest, e2e'],
  ])('refuse in %s: %s', async (path, text, expected) => {
    expect((await messages(path, text)).join('\n')).toContain(expected);
  });

  it.each([
    ['src/migration/x.ts', `import '../shared/bitmap.ts'; import 'valibot'; import './ports.ts';`],
    ['src/host/x.ts', `import '../net-relay/protocol/relay-protocol.ts'; import '../net-relay/client/relay-client.ts'; import '../link/lane-core.ts';`],
    ['src/emulator-bridge/v86-api.ts', `import { V86 } from 'v86';`],
    ['src/server.ts', `import './http-server/routes.ts'; import './net-relay/server/relay-server.ts';`],
    ['src/server.ts', `import '../guest/ensure-guest.ts';`],
    ['e2e/harness/x.ts', `import '../../guest/ensure-guest.ts'; import '../../src/shared/ids.ts'; import './guest/x.ts';`],
    ['src/shared/x.test.ts', `import 'vitest';`],
  ])('allow in %s: %s', async (path, text) => {
    expect(await messages(path, text)).toEqual([]);
  });
});
