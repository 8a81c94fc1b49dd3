import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { HELP } from '../src/http-server/options.ts';

const root = new URL('../', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, root), 'utf8');
const readJson = (name: string): Record<string, unknown> => JSON.parse(read(name)) as Record<string, unknown>;

/** Rows of the first table under a heading, each cell without its backquotes. */
function table(document: string, heading: string): string[][] {
  const section = document.split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  return section
    .split('\n')
    .filter((line) => line.startsWith('|') && !line.startsWith('|---'))
    .slice(1)
    .map((line) => line.split('|').slice(1, -1).map((cell) => cell.replaceAll('`', '').trim()));
}

describe('the documents', () => {
  it('list each dependency with its licence', () => {
    const { dependencies, devDependencies } = readJson('package.json') as { dependencies: object; devDependencies: object };
    const expected = [...Object.keys(dependencies), ...Object.keys(devDependencies)].map((name) => {
      const { license } = readJson(`node_modules/${name}/package.json`);
      return `${name}: ${String(license)}`;
    });
    const listed = table(read('ARCHITECTURE.md'), 'Dependencies').map(([name, licence]) => `${name ?? ''}: ${licence ?? ''}`);
    expect(listed.sort()).toEqual(expected.sort());
  });

  it('show the import rules that the linter enforces', async () => {
    const { FOLDERS } = (await import(new URL('eslint.config.js', root).href)) as { FOLDERS: { name: string; folders: string[]; packages: string[] }[] };
    const shown = table(read('ARCHITECTURE.md'), 'Import rules');
    expect(shown).toEqual(FOLDERS.map(({ name, folders, packages }) => [name, folders.join(', ') || 'nothing', packages.map((each) => each.replace('.*', '')).join(', ') || 'none']));
  });

  it('explain every option of the server', () => {
    const options = HELP.match(/^ {2}--[a-z-]+/gm)!.map((option) => option.trim()).filter((option) => option !== '--help');
    const explained = table(read('README.md'), 'Server options').map(([cell]) => cell ?? '').join(' ');
    for (const option of options) expect(explained).toContain(option);
  });

  it('cite only tests that exist in what they promise about threats', () => {
    const threats = read('THREATS.md');
    const cited = [...threats.matchAll(/`((?:src|e2e|guest)\/[^`]+\.ts)`: ((?:“[^”]+”(?:, )?)+)/g)].flatMap(([, file, titles]) => [...(titles ?? '').matchAll(/“([^”]+)”/g)].map(([, title]) => ({ file: file ?? '', title: title ?? '' })));
    expect(cited.length).toBeGreaterThan(20);
    // No citation is written in a way that this test does not read.
    expect(cited).toHaveLength(threats.match(/“/g)?.length ?? 0);
    const missing = cited.filter(({ file, title }) => !read(file).replaceAll("\\'", "'").includes(title));
    expect(missing).toEqual([]);
  });

  it('give every rule of the protocols a number of its own', () => {
    const numbers = [...read('PROTOCOL.md').matchAll(/^- \*\*((?:MG|NR|GW|SG)\d+)/gm)].map(([, number]) => number ?? '');
    expect(numbers.length).toBeGreaterThan(100);
    expect(numbers.filter((number, at) => numbers.indexOf(number) < at)).toEqual([]);
  });
});
