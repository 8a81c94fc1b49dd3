import tseslint from 'typescript-eslint';

/**
 * The import direction of the house (ARCHITECTURE.md):
 *   shared <- migration <- adapters (emulator-bridge, net-relay, link) <- vm-host <- host <- ui <- main
 * Each row: the folder, the sibling folders it may import, the packages it may import.
 */
export const FOLDERS = [
  { name: 'shared', folders: [], packages: [] },
  { name: 'migration', folders: ['shared'], packages: ['valibot'] },
  { name: 'emulator-bridge', folders: ['shared', 'migration'], packages: ['v86', 'hash-wasm', '@bokuweb/zstd-wasm', 'valibot', 'binaryen'] },
  { name: 'net-relay', folders: ['shared', 'migration'], packages: ['valibot', 'ws', 'node:.*'] },
  { name: 'link', folders: ['shared', 'migration'], packages: ['peerjs', 'valibot'] },
  { name: 'vm-host', folders: ['shared', 'migration', 'emulator-bridge', 'net-relay/client', 'link'], packages: ['valibot'] },
  {
    name: 'host',
    folders: [
      'shared',
      'migration',
      'emulator-bridge',
      'net-relay/client',
      'net-relay/protocol',
      'link',
      'vm-host/vm-worker-messages',
      'vm-host/console-inbox',
    ],
    packages: ['valibot'],
  },
  { name: 'node-host', folders: ['shared', 'host', 'emulator-bridge/guest-artefacts', 'net-relay/node-client'], packages: ['node:.*'] },
  { name: 'ui', folders: ['shared', 'migration', 'host'], packages: ['@xterm/.*', 'uqr'] },
  { name: 'http-server', folders: ['shared', 'migration', 'net-relay'], packages: ['express', 'peer', 'prom-client', 'vite', 'node:.*'] },
];

/**
 * Rooms of a folder that is too large for one: the others of the same folder that each may import. Tests and what they
 * share (`testing`) import any.
 */
export const INNER_FOLDERS = {
  'net-relay': [
    { name: 'limits', folders: [] },
    { name: 'protocol', folders: [] },
    { name: 'client', folders: ['protocol'] },
    { name: 'node-client', folders: ['client'] },
    { name: 'store', folders: ['protocol'] },
    { name: 'arbiter', folders: ['store'] },
    { name: 'lan', folders: ['protocol', 'limits'] },
    { name: 'gateway', folders: ['protocol', 'limits', 'store', 'lan'] },
    { name: 'server', folders: ['protocol', 'limits', 'store', 'arbiter', 'lan'] },
  ],
};

/** `src` and the folders beside it: which of these each may import. */
export const OUTER_FOLDERS = [
  { name: 'src', folders: [] },
  { name: 'guest', folders: ['src'] },
  { name: 'e2e', folders: ['src', 'guest'] },
  { name: 'bench', folders: ['src', 'guest', 'e2e'] },
  { name: 'scripts', folders: ['src', 'guest', 'e2e'] },
];

function outerRules({ name, folders }) {
  const forbidden = OUTER_FOLDERS.map((folder) => folder.name).filter((other) => other !== name && other !== 'src' && !folders.includes(other));
  return {
    files: [`${name}/**/*.ts`],
    // A composition root, and a test that brings a guest of its own.
    ignores: name === 'src' ? ['src/server.ts', '**/*.test.ts'] : [],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: `:matches(ImportDeclaration, ExportNamedDeclaration, ExportAllDeclaration, ImportExpression)[source.value=/^(\\.\\.\\u002F)+(${forbidden.join('|')})\\u002F/]`,
          message: `${name} may import of the folders beside it only: ${folders.join(', ') || 'none'}. Move what both need to one of these.`,
        },
      ],
    },
  };
}

const ALL = FOLDERS.map((folder) => folder.name);

function importRules({ name, folders, packages }, within = null) {
  const forbidden = ALL.filter((other) => other !== name && !folders.some((allowed) => allowed.split('/')[0] === other));
  const partial = folders.filter((allowed) => allowed.includes('/'));
  const partialRoots = [...new Set(partial.map((allowed) => allowed.split('/')[0]))];
  const partialPatterns = partialRoots.map((root) => {
    const ways = partial.filter((allowed) => allowed.startsWith(`${root}/`)).map((allowed) => allowed.slice(root.length + 1));
    return {
      regex: `^(\\.\\./)+${root}/(?!(${ways.join('|')}))`,
      message: `src/${name} may import only ${partial.join(', ')} of src/${root}; the rest runs in the server. Move what both need to src/shared.`,
    };
  });
  const bare = packages.length === 0 ? '' : `(?!(${packages.join('|')})(/|$))`;
  return {
    files: [within === null ? `src/${name}/**/*.ts` : `src/${name}/${within.name}/**/*.ts`],
    ignores: ['**/*.test.ts', '**/testing/**'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: `^(\\.\\./)+(${[...forbidden, 'main', 'server', 'vm-worker', 'vm-worker-node'].join('|')})(/|\\.|$)`,
              message: `src/${name} may import only: ${[name, ...folders].join(', ')}. Take what you need as a parameter (a port), or move the shared type down to src/shared or src/migration; composition happens in src/main.ts, src/server.ts and the entries of the VM's worker.`,
            },
            ...partialPatterns,
            ...(within === null ? [] : [innerPattern(name, within)]),
            {
              regex: `^(?!\\.{1,2}/)${bare}.+`,
              message:
                packages.length === 0
                  ? `src/${name} imports no package. Pass the function in as a parameter, or put the code into an adapter folder.`
                  : `src/${name} may import only these packages: ${packages.join(', ')}. Put the import into the folder that owns the package (ARCHITECTURE.md, Dependencies).`,
            },
          ],
        },
      ],
    },
  };
}

function innerPattern(name, within) {
  const forbidden = INNER_FOLDERS[name].map((room) => room.name).filter((other) => other !== within.name && !within.folders.includes(other));
  return {
    regex: `^\\.\\./(${forbidden.join('|')})/`,
    message: `src/${name}/${within.name} may import of src/${name} only: ${[within.name, ...within.folders].join(', ')}.`,
  };
}

/** One file each may import these packages; everything else goes through it. */
const OWNED_PACKAGES = [
  { package: 'v86', owner: 'src/emulator-bridge/v86-api.ts' },
  { package: 'peerjs', owner: 'src/link/peer-signalling.ts' },
  { package: 'ws', owner: 'src/net-relay/server/web-socket-server.ts' },
  { package: 'ws', owner: 'src/net-relay/node-client/node-socket.ts' },
  { package: 'prom-client', owner: 'src/http-server/metrics.ts' },
  { package: 'peer', owner: 'src/http-server/signalling.ts' },
];

const ownedPackageRules = {
  rules: {
    'single-owner': {
      meta: { type: 'problem', schema: [] },
      create(context) {
        const file = context.filename.replaceAll('\\', '/');
        const check = (node) => {
          const source = node.source?.value;
          const owners = OWNED_PACKAGES.filter((entry) => source === entry.package || String(source).startsWith(`${entry.package}/`)).map(({ owner }) => owner);
          if (owners.length > 0 && !owners.some((owner) => file.endsWith(owner))) {
            context.report({ node, message: `Only ${owners.join(' and ')} imports '${source}'. Import what you need from there.` });
          }
        };
        return {
          ImportDeclaration: check,
          ImportExpression: check,
          ExportNamedDeclaration: check,
          ExportAllDeclaration: check,
        };
      },
    },
  },
};

export default tseslint.config(
  { ignores: ['dist/**', '.cache/**', 'node_modules/**', 'test-results/**', 'playwright-report/**'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { house: ownedPackageRules },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      '@typescript-eslint/unified-signatures': 'off',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['**/*.test.ts', '**/testing/**'],
    rules: { 'house/single-owner': 'error', 'max-lines-per-function': ['error', 80] },
  },
  ...FOLDERS.map((folder) => importRules(folder)),
  // Behind the rules of the whole folder, which these replace.
  ...FOLDERS.flatMap((folder) => (INNER_FOLDERS[folder.name] ?? []).map((room) => importRules(folder, room))),
  ...OUTER_FOLDERS.map(outerRules),
  {
    // What waits for something must be tested in virtual time.
    files: ['migration', 'link', 'vm-host', 'host'].map((name) => `src/${name}/**/*.ts`),
    ignores: ['**/*.test.ts', '**/testing/**'],
    rules: {
      'no-restricted-globals': [
        'error',
        ...['setTimeout', 'setInterval', 'clearTimeout', 'clearInterval', 'performance'].map((name) => ({
          name,
          message: 'Take a Clock (src/shared/clock.ts) as a parameter; for what comes again and again there is src/shared/repeat.ts.',
        })),
      ],
    },
  },
  {
    files: ['**/*.test.ts', 'e2e/**/*.ts', '**/testing/**'],
    rules: { '@typescript-eslint/no-non-null-assertion': 'off', 'max-lines': ['error', 600] },
  },
);
