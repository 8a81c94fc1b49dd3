/** A name for a tab that people can tell apart at a glance; the same id always gives the same name. */

const COLOURS = [
  'Amber',
  'Azure',
  'Coral',
  'Copper',
  'Crimson',
  'Golden',
  'Indigo',
  'Ivory',
  'Jade',
  'Lilac',
  'Olive',
  'Pearl',
  'Ruby',
  'Sandy',
  'Scarlet',
  'Silver',
  'Teal',
  'Violet',
];
const BIRDS = [
  'Crane',
  'Dove',
  'Falcon',
  'Finch',
  'Heron',
  'Ibis',
  'Jay',
  'Kestrel',
  'Lark',
  'Magpie',
  'Osprey',
  'Owl',
  'Plover',
  'Robin',
  'Stork',
  'Swallow',
  'Swift',
  'Tern',
  'Wren',
];

export function hostNameFor(id: string): string {
  let hash = 0;
  for (const letter of id) hash = (Math.imul(hash, 31) + letter.charCodeAt(0)) >>> 0;
  return `${COLOURS[hash % COLOURS.length] ?? 'Plain'} ${BIRDS[Math.floor(hash / COLOURS.length) % BIRDS.length] ?? 'Bird'}`;
}
