/** Who imports whom, as the files stand: without a circle, types included. */
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { projectFiles } from './project-files.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const files = projectFiles('src', 'guest', 'e2e', 'bench', 'scripts').filter((file) => file.endsWith('.ts'));

function readGraph(): Map<string, string[]> {
  const known = new Set(files);
  return new Map(files.map((file) => {
    const text = readFileSync(join(root, file), 'utf8');
    const paths = [...text.matchAll(/(?:^import |^export |^} ).*?from '(\.[^']+)'|^import '(\.[^']+)'|\bimport\('(\.[^']+)'\)/gm)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
    return [file, paths.map((path) => normalize(join(dirname(file), path))).filter((path) => known.has(path))];
  }));
}

/** The first circle that is met, as the files along it; empty: there is none. */
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
    expect(graph.get('src/net-relay/room.ts')).toContain('src/net-relay/switch.ts');
  });

  it('go in no circle', () => {
    expect(circle(new Map([['a', ['b']], ['b', ['c']], ['c', ['b']]]))).toEqual(['b', 'c', 'b']);
    expect(circle(readGraph())).toEqual([]);
  });
});
