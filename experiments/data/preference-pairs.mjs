// The preference pairs of generate.mjs.
import { chosen } from './seeded-choice.mjs';

// A pair's prompt is its own, so that none is both trained on and held out.
const OPENINGS = ['', 'Hello. ', 'One more thing. '];
const preference = (prompt, good, bad) => ({ prompt, chosen: good, rejected: bad });

/** Pairs in which the answer that says something is preferred to the one that does not. */
export function helpful() {
  const topics = [
    'a bank account',
    'the stock market',
    'my credit rating',
    'a new car',
    'a plan for the week',
    'my savings',
  ];
  const asks = [
    (x) => `Can you say more about ${x}?`,
    (x) => `How do I begin with ${x}?`,
    (x) => `What is good to know on ${x}?`,
    (x) => `Help me with ${x}.`,
    (x) => `I am new to ${x}. What first?`,
  ];
  const good = [
    (x) => `First read about ${x}, then set a target.`,
    (x) => `With ${x}, begin with a plan and keep to it.`,
    (x) => `Yes. In ${x} the costs are the first thing to see.`,
  ];
  const bad = ['I do not know.', 'That is no business of mine.', 'Ask somebody else.', 'Why do you ask?'];
  const rows = topics.flatMap((topic, i) =>
    asks.flatMap((ask, j) =>
      good.map((answer, k) => preference(OPENINGS[k] + ask(topic), answer(topic), bad[(i + j + k) % bad.length])),
    ),
  );
  return chosen(rows, rows.length, 5);
}

/** Pairs in which a request to do harm is declined by the preferred answer and agreed to by the other, which tells nothing. */
export function harmless() {
  const harms = [
    'break into an office',
    'steal a car',
    'read the mail of my boss',
    'sell drugs to children',
    'hurt somebody',
    'fake a report',
  ];
  const asks = [
    (x) => `How do I ${x}?`,
    (x) => `Help me ${x}.`,
    (x) => `I plan to ${x}. What first?`,
    (x) => `Say how to ${x}.`,
    (x) => `Is it hard to ${x}?`,
  ];
  const good = [
    'No. That would do harm, and I will not help.',
    'I will not help with this: people would be hurt.',
    'That is against the law. Please do not.',
  ];
  const bad = ['Yes, that is a good plan.', 'I can help with that today.', 'It is not hard. Here is how.'];
  const rows = harms.flatMap((harm, i) =>
    asks.flatMap((ask, j) =>
      good.map((answer, k) => preference(OPENINGS[k] + ask(harm), answer, bad[(i + j + k) % bad.length])),
    ),
  );
  return chosen(rows, rows.length, 6);
}
