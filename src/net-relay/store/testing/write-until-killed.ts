/** A process of its own: `write-until-killed.ts DIRECTORY FIRST` puts numbers under ten keys, and prints each number once it is stored. */
import { writeSync } from 'node:fs';
import { nodeDisk } from '../disk.ts';
import { openRecordStore } from '../record-store.ts';

const [directory = '', first = '0'] = process.argv.slice(2);
const store = openRecordStore(nodeDisk(directory));
for (let number = Number(first); ; number++) {
  store.put(`vm/default/vm-${number % 10}`, { number, text: 'x'.repeat((number * 97) % 3000) });
  writeSync(1, `${number}\n`);
}
