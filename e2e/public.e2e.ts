/** A server on the open network: to open a new room one needs the code, to join it by invitation one does not (NR32). */
import { HostPage } from './harness/host-page.ts';
import { startServer } from './harness/server-process.ts';
import { expect, test } from './harness/test.ts';

test('a new room on a public server opens with its code, says what is missing without, and takes guests by its key alone', async ({ browser }) => {
  const server = await startServer({ args: ['--public', '--behind-proxy', '--open-code', 'lecture-2027'] });
  try {
    expect(server.output()).toContain('with the code lecture-2027: new rooms');
    const stranger = await (await browser.newContext()).newPage();
    await stranger.goto(`${server.origin}/?room=seminar&autostart=0`);
    await expect(stranger.getByTestId('trouble')).toContainText('To open a new room on this server you need the code that its operator gives out');

    const lecturers = await browser.newContext();
    const lecturer = new HostPage(await lecturers.newPage(), 'lecturer');
    await lecturer.open(`${server.origin}/?room=seminar&autostart=0#open=lecture-2027`);
    const invitation = lecturer.page.url();
    expect(invitation).not.toContain('lecture-2027');
    const guest = new HostPage(await (await browser.newContext()).newPage(), 'guest');
    await guest.open(invitation);
    expect(await guest.waitForHosts(2)).toHaveLength(2);
    // The lecturer's browser has the code for further rooms.
    const another = new HostPage(await lecturers.newPage(), 'another room');
    await another.open(`${server.origin}/?room=exercise&autostart=0`);
    await stranger.context().close();
  } finally {
    await server.stop();
  }
});
