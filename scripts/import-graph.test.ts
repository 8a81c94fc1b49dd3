/** The import graph of the files as they are: it has no cycle, type imports included. */
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { projectFiles } from './project-files.ts';

/** The share of the lines under `src` that one room may have. */
const LARGEST_SHARE = 0.18;
const root = fileURLToPath(new URL('..', import.meta.url));
const files = projectFiles('src', 'guest', 'e2e', 'bench', 'scripts').filter((file) => file.endsWith('.ts'));

function readGraph(): Map<string, string[]> {
  const known = new Set(files);
  return new Map(
    files.map((file) => {
      const text = readFileSync(join(root, file), 'utf8');
      const paths = [...text.matchAll(/(?:^import |^export |^} ).*?from '(\.[^']+)'|^import '(\.[^']+)'|\bimport\('(\.[^']+)'\)/gm)].map(
        (match) => match[1] ?? match[2] ?? match[3] ?? '',
      );
      return [file, paths.map((path) => normalize(join(dirname(file), path))).filter((path) => known.has(path))];
    }),
  );
}

/** The files along the first cycle found; empty if there is none. */
function circle(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const way: string[] = [];
  const visit = (file: string): string[] => {
    if (way.includes(file)) return [...way.slice(way.indexOf(file)), file];
    if (done.has(file)) return [];
    way.push(file);
    for (const next of graph.get(file) ?? []) {
      const found = visit(next);
      if (found.length > 0) return found;
    }
    way.pop();
    done.add(file);
    return [];
  };
  for (const file of graph.keys()) {
    const found = visit(file);
    if (found.length > 0) return found;
  }
  return [];
}

describe('the imports of the house', () => {
  it('are found where there are any', () => {
    const graph = readGraph();
    expect(graph.get('src/main.ts')).toContain('src/host/tab.ts');
    expect(graph.get('src/net-relay/server/room.ts')).toContain('src/net-relay/lan/switch.ts');
  });

  it('go in no circle', () => {
    expect(
      circle(
        new Map([
          ['a', ['b']],
          ['b', ['c']],
          ['c', ['b']],
        ]),
      ),
    ).toEqual(['b', 'c', 'b']);
    expect(circle(readGraph())).toEqual([]);
  });

  it('lead through rooms of which none is too large, and no file is loose in a folder that has rooms', async () => {
    const { FOLDERS, INNER_FOLDERS } = (await import(new URL('../eslint.config.js', import.meta.url).href)) as {
      FOLDERS: { name: string }[];
      INNER_FOLDERS: Record<string, { name: string }[]>;
    };
    const rooms = FOLDERS.flatMap(({ name }) =>
      (INNER_FOLDERS[name] ?? []).length === 0
        ? [`src/${name}/`]
        : [...INNER_FOLDERS[name]!.map((room) => `src/${name}/${room.name}/`), `src/${name}/testing/`],
    );
    const lines = (path: string): number => readFileSync(join(root, path), 'utf8').split('\n').length;
    const inSrc = projectFiles('src').map((path) => ({ path, lines: lines(path) }));
    const all = inSrc.reduce((sum, file) => sum + file.lines, 0);
    expect(inSrc.filter(({ path }) => path.split('/').length > 2 && !rooms.some((room) => path.startsWith(room))).map(({ path }) => path)).toEqual([]);
    for (const room of rooms) {
      const own = inSrc.filter(({ path }) => path.startsWith(room)).reduce((sum, file) => sum + file.lines, 0);
      expect({ room, share: own / all }).toEqual({ room, share: expect.toSatisfy((share: number) => share <= LARGEST_SHARE) as number });
    }
  });
});
