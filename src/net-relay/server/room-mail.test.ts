import { expect, it } from 'vitest';
import { VirtualClock } from '../../migration/testing/virtual-clock.ts';
import { MAIL_BYTES_AT_ONCE, RoomMail } from './room-mail.ts';

it('sends at once what is little, in pieces what is much, and always in order', () => {
  const clock = new VirtualClock();
  const mail = new RoomMail(clock);
  const sent: string[] = [];
  mail.post(100, () => sent.push('short'));
  expect(sent).toEqual(['short']);
  for (let host = 1; host <= 5; host++) mail.post(MAIL_BYTES_AT_ONCE / 2, () => sent.push(`long to ${host}`));
  mail.post(100, () => sent.push('short again'));
  expect(sent).toEqual(['short', 'long to 1', 'long to 2']);
  clock.fireNext();
  expect(sent.slice(3)).toEqual(['long to 3', 'long to 4']);
  clock.fireNext();
  expect(sent.slice(5)).toEqual(['long to 5', 'short again']);
  expect(clock.pending).toBe(0);
});

it('has every other turn in between: never more than a piece and one message at a time', () => {
  const clock = new VirtualClock();
  const mail = new RoomMail(clock);
  let inThisTurn = 0;
  let most = 0;
  for (let host = 0; host < 60; host++) {
    mail.post(220_000, () => {
      inThisTurn += 220_000;
      most = Math.max(most, inThisTurn);
    });
  }
  while (clock.pending > 0) {
    inThisTurn = 0;
    clock.fireNext();
  }
  expect(most).toBeLessThan(MAIL_BYTES_AT_ONCE + 220_000);
});

it('says nothing more once it is over', () => {
  const clock = new VirtualClock();
  const mail = new RoomMail(clock);
  let sent = 0;
  for (let host = 0; host < 3; host++) mail.post(MAIL_BYTES_AT_ONCE, () => sent++);
  mail.dispose();
  while (clock.fireNext());
  expect(sent).toBe(1);
});
