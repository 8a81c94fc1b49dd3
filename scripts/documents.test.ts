import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { HELP } from '../src/http-server/options.ts';
import { projectFiles } from './project-files.ts';

const root = new URL('../', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, root), 'utf8');
const readJson = (name: string): Record<string, unknown> => JSON.parse(read(name)) as Record<string, unknown>;

/** Rows of the first table under a heading, each cell without its backquotes. */
function table(document: string, heading: string): string[][] {
  const section = document.split(`## ${heading}\n`)[1]?.split(/\n##+ /)[0] ?? '';
  return section
    .split('\n')
    .filter((line) => line.startsWith('|') && !line.startsWith('|---'))
    .slice(1)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.replaceAll('`', '').trim()),
    );
}

const files = projectFiles();
const commentsOf = (source: string): string => [...source.matchAll(/\/\*[^]*?\*\/|\/\/[^\n]*/g)].map(([comment]) => comment).join('\n');

describe('the documents', () => {
  it('list each dependency with its licence', () => {
    const { dependencies, devDependencies, optionalDependencies } = readJson('package.json') as Record<string, object>;
    const expected = [dependencies, devDependencies, optionalDependencies]
      .flatMap((group) => Object.keys(group ?? {}))
      .map((name) => {
        const { license } = readJson(`node_modules/${name}/package.json`);
        return `${name}: ${String(license)}`;
      });
    const listed = table(read('ARCHITECTURE.md'), 'Dependencies').map(([name, licence]) => `${name ?? ''}: ${licence ?? ''}`);
    expect(listed.sort()).toEqual(expected.sort());
  });

  it('show the import rules that the linter enforces', async () => {
    const { FOLDERS } = (await import(new URL('eslint.config.js', root).href)) as { FOLDERS: { name: string; folders: string[]; packages: string[] }[] };
    const shown = table(read('ARCHITECTURE.md'), 'Import rules');
    expect(shown).toEqual(
      FOLDERS.map(({ name, folders, packages }) => [
        name,
        folders.join(', ') || 'nothing',
        packages.map((each) => each.replace('.*', '')).join(', ') || 'none',
      ]),
    );
  });

  it('show the import rules of the rooms inside a folder', async () => {
    const { INNER_FOLDERS } = (await import(new URL('eslint.config.js', root).href)) as {
      INNER_FOLDERS: Record<string, { name: string; folders: string[] }[]>;
    };
    for (const [folder, rooms] of Object.entries(INNER_FOLDERS)) {
      const shown = table(read('ARCHITECTURE.md'), `Inside \`src/${folder}\``);
      expect(shown.map(([name, , others]) => [name, others])).toEqual(rooms.map(({ name, folders }) => [name, folders.join(', ') || 'nothing']));
    }
  });

  it('show the import rules of the folders beside src', async () => {
    const { OUTER_FOLDERS } = (await import(new URL('eslint.config.js', root).href)) as { OUTER_FOLDERS: { name: string; folders: string[] }[] };
    const shown = table(read('ARCHITECTURE.md'), 'Beside `src`');
    expect(shown).toEqual(OUTER_FOLDERS.map(({ name, folders }) => [name, folders.join(', ') || 'nothing']));
  });

  it('explain every option of the server', () => {
    const options = HELP.match(/^ {2}--[a-z-]+/gm)!
      .map((option) => option.trim())
      .filter((option) => option !== '--help');
    const explained = table(read('README.md'), 'Server options')
      .map(([cell]) => cell ?? '')
      .join(' ');
    for (const option of options) expect(explained).toContain(option);
  });

  it('cite only tests that exist in what they promise about threats', () => {
    const threats = read('THREATS.md');
    const cited = [...threats.matchAll(/`((?:src|e2e|guest)\/[^`]+\.ts)`: ((?:“[^”]+”(?:, )?)+)/g)].flatMap(([, file, titles]) =>
      [...(titles ?? '').matchAll(/“([^”]+)”/g)].map(([, title]) => ({ file: file ?? '', title: title ?? '' })),
    );
    expect(cited.length).toBeGreaterThan(20);
    // Every citation has a form that this test can read.
    expect(cited).toHaveLength(threats.match(/“/g)?.length ?? 0);
    const missing = cited.filter(({ file, title }) => !read(file).replaceAll("\\'", "'").includes(title));
    expect(missing).toEqual([]);
  });

  it('and comments name only files that exist', () => {
    const names = new Set(files.map((file) => file.slice(file.lastIndexOf('/') + 1)));
    const exists = (path: string): boolean => (path.includes('/') ? files.some((file) => `/${file}`.endsWith(`/${path}`)) : names.has(path));
    const missing = files.flatMap((file) => {
      const prose = file.endsWith('.md') ? read(file) : /\.(?:ts|js|c)$/.test(file) ? commentsOf(read(file)) : '';
      const named = [...prose.matchAll(/(?<![\w./@:-])(?:\.\.?\/)*((?:[\w.-]+\/)*[\w-][\w.-]*\.(?:ts|md|pml|sh))\b/g)].map(([, path]) => path ?? '');
      return named.filter((path) => !exists(path)).map((path) => `${file}: ${path}`);
    });
    expect(missing).toEqual([]);
  });

  it('define every code that a test or a comment cites', () => {
    const rules = [...read('PROTOCOL.md').matchAll(/^- \*\*((?:MG|NR|GW|SG|I)\d+)/gm)].map(([, code]) => code);
    const promises = table(read('e2e/README.md').replace('# What the', '## What the'), 'What the end-to-end tests prove').map(([code]) => code);
    const known = new Set([...rules, ...promises]);
    expect(known.size).toBeGreaterThan(150);
    const cites = (text: string): string[] => [...text.matchAll(/\b(?:(?:MG|NR|GW|SG)\d+|(?:[ABCFI]\d{1,2}(?=[):, -])))/g)].map(([code]) => code);
    const unknown = files
      .filter((file) => file.endsWith('.test.ts') || file.endsWith('.e2e.ts'))
      .flatMap((file) => {
        const text = read(file);
        const titles = [...text.matchAll(/\b(?:it|test|describe)(?:\.\w+\([^)]*\))?\((['"`])(.*?)\1, /g)].map(([, , title]) => title ?? '');
        return [...titles, commentsOf(text)]
          .flatMap(cites)
          .filter((code) => !known.has(code))
          .map((code) => `${file}: ${code}`);
      });
    expect(unknown).toEqual([]);
  });

  it('give every rule of the protocols a number of its own', () => {
    const numbers = [...read('PROTOCOL.md').matchAll(/^- \*\*((?:MG|NR|GW|SG|I)\d+)/gm)].map(([, number]) => number ?? '');
    expect(numbers.length).toBeGreaterThan(100);
    expect(numbers.filter((number, at) => numbers.indexOf(number) < at)).toEqual([]);
  });
});
