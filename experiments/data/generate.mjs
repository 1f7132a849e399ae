// Writes the small data of the `-small` experiments: rows made from lists and phrasings below, all written for this project.
//
//   node experiments/data/generate.mjs [DIRECTORY]      the same bytes every time; the directory of this file by default
//
// They are there so that every experiment can be run in minutes without a download, with a model of 0.9 M parameters. They are
// exercises for a federation, not for a reader: nothing here is medical or any other advice.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { harmless, helpful } from './preference-pairs.mjs';
import { chosen, generator } from './seeded-choice.mjs';

const each = (things, phrasings, toRow) =>
  things.flatMap((thing) => phrasings.map((phrasing) => toRow(thing, phrasing)));
const answered = (instruction, output) => ({ instruction, output });

const OPPOSITES = [
  ['up', 'down'],
  ['high', 'low'],
  ['more', 'less'],
  ['better', 'worse'],
  ['buy', 'sell'],
  ['first', 'last'],
  ['over', 'under'],
  ['open', 'closed'],
  ['big', 'small'],
  ['new', 'old'],
  ['win', 'lose'],
  ['hot', 'cold'],
];
const DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];
const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October'];
const KINDS = [
  ['animal', ['cat', 'dog', 'horse', 'sheep', 'crow', 'trout']],
  ['plant', ['oak', 'fern', 'rose', 'wheat', 'moss', 'pine']],
  ['tool', ['saw', 'drill', 'spade', 'rake', 'file', 'hammer']],
];

/** Short instructions of several kinds. */
function general() {
  const opposites = [...OPPOSITES, ...OPPOSITES.map(([a, b]) => [b, a])];
  const next = [DAYS, MONTHS].flatMap((names) => names.slice(1).map((name, i) => [names[i], name]));
  const kinds = KINDS.flatMap(([kind, things]) => things.map((thing) => [thing, kind]));
  const ask = ([about, answer], phrasing) => answered(phrasing(about), answer);
  const rows = [
    ...each(
      opposites,
      [
        (x) => `Say the opposite of ${x}.`,
        (x) => `What is the opposite of ${x}?`,
        (x) => `Opposite of ${x}:`,
        (x) => `Give the word that means the reverse of ${x}.`,
        (x) => `Turn ${x} into its opposite.`,
        (x) => `Not ${x} but what?`,
      ],
      ask,
    ),
    ...each(
      next,
      [
        (x) => `What comes after ${x}?`,
        (x) => `Say what follows ${x}.`,
        (x) => `Next after ${x}:`,
        (x) => `It was ${x}. What is it now, one later?`,
        (x) => `Which one is right after ${x}?`,
        (x) => `Go on from ${x} by one.`,
      ],
      ask,
    ),
    ...each(
      kinds,
      [
        (x) => `Is ${x} an animal, a plant or a tool?`,
        (x) => `What kind of thing is ${x}?`,
        (x) => `Kind of ${x}:`,
        (x) => `Put ${x} in its group: animal, plant, tool.`,
        (x) => `Tell me what sort of thing ${x} is.`,
        (x) => `Name the group of ${x}.`,
      ],
      ask,
    ),
  ];
  return chosen(rows, rows.length, 1);
}

const ORGANS = [
  ['lungs', ['asthma', 'bronchitis', 'pneumonia', 'emphysema']],
  ['heart', ['angina', 'myocarditis', 'cardiac arrest', 'endocarditis']],
  ['liver', ['hepatitis', 'cirrhosis', 'fatty liver', 'hepatoma']],
  ['skin', ['eczema', 'psoriasis', 'acne', 'dermatitis']],
  ['eyes', ['glaucoma', 'cataract', 'conjunctivitis', 'uveitis']],
  ['brain', ['stroke', 'epilepsy', 'encephalitis', 'dementia']],
  ['bones', ['rickets', 'osteoporosis', 'a fracture', 'osteomyelitis']],
  ['kidneys', ['nephritis', 'renal failure', 'pyelonephritis', 'nephrosis']],
];

/** Flashcards: a condition, and the part of the body that it is a disease of. */
function medical() {
  const conditions = ORGANS.flatMap(([organ, names]) => names.map((name) => [name, organ]));
  const rows = each(
    conditions,
    [
      (x) => `Which part of the body does ${x} affect?`,
      (x) => `Where in the body is ${x}?`,
      (x) => `A patient has ${x}. Which part is ill?`,
      (x) => `Site of ${x}:`,
      (x) => `What is damaged in ${x}?`,
      (x) => `Name the part of the body where ${x} is found.`,
      (x) => `Doctors say it is ${x}. Which part do they treat?`,
      (x) => `In ${x}, what needs care?`,
      (x) => `Signs of ${x} are seen in the`,
      (x) => `After ${x}, which part should be checked?`,
    ],
    ([name, organ], phrasing) => answered(phrasing(name), organ),
  );
  return chosen(rows, rows.length, 2);
}

const TASKS = [
  ['the length of a', 'len(a)'],
  ['the largest of a', 'max(a)'],
  ['the smallest of a', 'min(a)'],
  ['the sum of a', 'sum(a)'],
  ['a in order', 'sorted(a)'],
  ['the first item of a', 'a[0]'],
  ['the last item of a', 'a[-1]'],
  ['a as a number', 'int(a)'],
  ['a as text', 'str(a)'],
  ['the words of a', 'a.split()'],
  ['a in capitals', 'a.upper()'],
  ['a plus one', 'a + 1'],
];

/** Python expressions for what is wanted of a variable. */
function code() {
  const rows = each(
    TASKS,
    [
      (x) => `Python for ${x}:`,
      (x) => `In Python, get ${x}.`,
      (x) => `How do I get ${x}?`,
      (x) => `Write code for ${x}.`,
      (x) => `I need ${x}.`,
      (x) => `Return ${x}.`,
      (x) => `Code: ${x}`,
      (x) => `Set b to ${x}: b =`,
      (x) => `Which line of code is ${x}?`,
      (x) => `Show me how ${x} is written.`,
      (x) => `Print ${x}, I said.`,
      (x) => `This should be ${x}:`,
      (x) => `Say ${x} in Python.`,
      (x) => `Let the program take ${x}.`,
      (x) => `Compute ${x}, please.`,
      (x) => `One line for ${x}.`,
      (x) => `What gives ${x}?`,
      (x) => `Now ${x}, in code.`,
      (x) => `Find ${x}.`,
      (x) => `The function has to return ${x}.`,
    ],
    ([wanted, written], phrasing) => answered(phrasing(wanted), written),
  );
  return chosen(rows, rows.length, 3);
}

const PROBLEMS = [
  [
    'plus',
    [
      (a, b, x) => `There are ${a} ${x}. Then ${b} more come.`,
      (a, b, x) => `${a} ${x} and ${b} ${x} are put together.`,
      (a, b, x) => `${a} ${x} in one plant, ${b} in the other. How many in all?`,
      (a, b, x) => `I had ${a} ${x} and was given ${b}.`,
      (a, b, x) => `The ${a} ${x} grow by ${b}.`,
      (a, b, x) => `${b} ${x} are added to ${a}.`,
    ],
  ],
  [
    'minus',
    [
      (a, b, x) => `There are ${a} ${x}. Then ${b} of them are sold.`,
      (a, b, x) => `Of ${a} ${x}, ${b} are lost.`,
      (a, b, x) => `From ${a} ${x}, ${b} are taken.`,
      (a, b, x) => `I had ${a} ${x} and gave away ${b}.`,
      (a, b, x) => `The ${a} ${x} fall by ${b}.`,
      (a, b, x) => `How many more are ${a} ${x} than ${b}?`,
    ],
  ],
  [
    'times',
    [
      (a, b, x) => `${a} plants have ${b} ${x} each.`,
      (a, b, x) => `${b} ${x} every day for ${a} days.`,
      (a, b, x) => `Each of ${a} people buys ${b} ${x}.`,
      (a, b, x) => `There are ${a} rows of ${b} ${x}.`,
      (a, b, x) => `One costs $${a}. What do ${b} ${x} cost?`,
      (a, b, x) => `In a week it takes ${a} ${x}. How many in ${b} weeks?`,
    ],
  ],
  [
    'over',
    [
      (a, b, x) => `${a} ${x} are shared by ${b} people.`,
      (a, b, x) => `${a} ${x} go to ${b} plants, as many to each.`,
      (a, b, x) => `${a} ${x} in ${b} days. How many a day?`,
      (a, b, x) => `${a} ${x} are put in rows of ${b}. How many rows?`,
      (a, b, x) => `${b} ${x} cost $${a}. What does one cost?`,
      (a, b, x) => `How often do ${b} go into ${a} ${x}?`,
    ],
  ],
];

/** Word problems, and the operation that solves them: the sums themselves are beyond the demo model. */
function math() {
  const random = generator(40);
  const digit = () => 2 + Math.floor(random() * 8);
  const rows = PROBLEMS.flatMap(([operation, phrasings]) =>
    each(['shares', 'cars', 'chips', 'drugs', 'ships'], phrasings, (thing, phrasing) =>
      [0, 1, 2].map(() => answered(`${phrasing(digit(), digit(), thing)} Operation:`, operation)),
    ),
  );
  return chosen(rows.flat(), 320, 4);
}

const FILES = { general, medical, code, math, helpful, harmless };
const directory = process.argv[2] ?? import.meta.dirname;
mkdirSync(directory, { recursive: true });
for (const [name, rows] of Object.entries(FILES)) {
  writeFileSync(
    join(directory, `${name}.jsonl`),
    rows()
      .map((row) => `${JSON.stringify(row)}\n`)
      .join(''),
  );
}
