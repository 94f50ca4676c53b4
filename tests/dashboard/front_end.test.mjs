// Unit tests of the tab's pure modules, for `node --test`.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

const at = (name) => import(new URL(`../../dashboards/gradscope_dashboard/static/${name}`, import.meta.url));
const format = await at('format.js');
const curves = await at('curves.js');
const columns = await at('columns.js');
const download = await at('download.js');
const link = await at('link.js');
const state = await at('state.js');
const api = await at('api.js');
const spread = await at('spread.js');
const units = await at('unit_map.js');

test('numbers are written as people read them', () => {
  assert.deepEqual(
    [0, 1.1e-6, -1.1e-6, 0.042, 1234, 123456.7, 1e9, NaN, null, Infinity, -0.5].map((value) => format.number(value)),
    ['0', '1.1e-6', '−1.1e-6', '0.042', '1,234', '1.2e5', '1.0e9', 'not recorded', 'not recorded', '∞', '−0.5'],
  );
});

test('durations, steps and factors are written in words', () => {
  assert.deepEqual([0, 0.0121, 4.23, 190, 7500].map(format.duration), [
    '0 s',
    '12 ms',
    '4.2 s',
    '3 min 10 s',
    '2 h 5 min',
  ]);
  assert.equal(format.steps(10, 1855), 'steps 10–1,855');
  assert.equal(format.steps(5, 5), 'step 5');
  assert.equal(format.times(2e-9, 2.4e-4), '120,000 × smaller');
  assert.equal(format.times(3, 2), '1.5 × larger');
  assert.equal(format.times(0, 2), '');
});

test('control characters of a name become visible, and markup stays as it is', () => {
  assert.equal(format.name('a\n\u001b[31m<b>\u202e'), 'a\u240a\u241b[31m<b>\u2421');
});

test('weights are called by what tells them apart within their layer', () => {
  const called = (...paths) => [...format.withinLayer(paths).values()];
  assert.deepEqual(called('model/dense_3/kernel', 'model/dense_3/bias'), ['kernel', 'bias']);
  assert.deepEqual(called('m/mha/query/kernel', 'm/mha/key/kernel'), ['query/kernel', 'key/kernel']);
  assert.deepEqual(called('m/embedding/embeddings'), ['embeddings']);
  assert.deepEqual(called(), []);
});

test('a long name keeps its beginning and its end, and no character is cut in two', () => {
  assert.equal(format.shortened('block_1/attention/query', 11), 'bloc…/query');
  assert.equal(format.shortened('🔥'.repeat(9), 5), '🔥🔥…🔥🔥');
});

test('smoothing is freed of the bias towards its start, and passes over what is missing', () => {
  assert.deepEqual(
    curves.smoothed([4, 4, NaN, 4], 0.9).map((value) => (Number.isNaN(value) ? null : Number(value.toFixed(9)))),
    [4, 4, null, 4],
  );
  assert.deepEqual(curves.smoothed([1, 2], 0), [1, 2]);
  const slow = curves.smoothed([0, 1, 1], 0.5);
  assert.ok(slow[1] > 0.6 && slow[1] < 0.7 && slow[2] > slow[1]);
});

test('columns of equal width show each recorded value until the next', () => {
  const grid = curves.evenly([0, 1, 2, 5, 10], { integer: true });
  assert.equal(grid.width, 1);
  assert.deepEqual(Array.from(grid.sources).slice(0, 11), [0, 1, 2, 2, 2, 3, 3, 3, 3, 3, 4]);
  assert.deepEqual(Array.from(curves.evenly([7], { integer: true }).sources), [0]);
  assert.ok(
    curves.evenly(
      Array.from({ length: 600 }, (_, index) => 50 * index),
      { integer: true, most: 600 },
    ).sources.length <= 601,
  );
});

test('a value is shown at its place among the colours, and nothing has no colours', () => {
  const log = { scale: 'log', unit: '' };
  assert.equal(curves.commonRange([new Float32Array([NaN])], log), null);
  const range = { low: -4, high: 0, log: true };
  assert.deepEqual(
    [NaN, 0, 1e-9, 0.01, Infinity].map((value) => curves.toned(value, range)),
    [NaN, -4, -4, -2, 0],
  );
});

const matrix = (steps, rows, values) => ({
  steps,
  last_steps: steps,
  epochs: steps.map(() => 0),
  wall_times: steps,
  recorded: steps.length,
  rows: rows.map((layer) => ({ key: layer, layer, label: layer })),
  values: new Float32Array(values),
});

test('a step looks at the last column up to it in which something is recorded', () => {
  const found = matrix([0, 5, 9], ['a', 'b'], [1, 3, NaN, 2, NaN, NaN]);
  assert.deepEqual(
    [null, 9, 7, 4].map((step) => columns.columnAt(found, step)),
    [1, 1, 1, 0],
  );
  assert.equal(columns.columnAt(matrix([0, 5], ['a'], [NaN, NaN]), null), 1);
});

test('CSV quotes names, keeps values exact and runs nothing', () => {
  const text = download.csv([
    ['run', 'v'],
    ['=HYPERLINK("x")', 1.0000000031710769e-30],
    ['a,"b"\n', NaN],
    ['+1', -2],
    ['plain', Infinity],
  ]);
  assert.equal(
    text,
    'run,v\r\n"\'=HYPERLINK(""x"")",1.0000000031710769e-30\r\n"a,""b""\n",\r\n\'+1,-2\r\nplain,inf\r\n',
  );
  assert.equal(download.fileName('../etc', 'a b/<c>'), 'gradscope_etc_a-b-c');
});

test('what a link says is read back from the address', () => {
  const said = {
    runs: ['a,b', 'c&d=e#é', '.'],
    statistic: 'gradients.rms',
    step: 0,
    layer: 'block/x&y=%2C',
    smoothing: 0.6,
    axis: 'wall',
    filter: '^a|b$',
  };
  const fragment = link.written('#gradscope&_other=1&p.gradscope.step=9', said);
  assert.ok(fragment.startsWith('#gradscope&_other=1&p.gradscope.runs='));
  assert.deepEqual(link.read(fragment), said);
  assert.equal(link.written(fragment, {}), '#gradscope&_other=1');
});

test('nonsense in an address is left out', () => {
  assert.deepEqual(
    link.read('#gradscope&p.gradscope.step=-3&p.gradscope.axis=up&p.gradscope.smoothing=7&p.gradscope.layer=%zz'),
    {
      runs: null,
      statistic: null,
      step: null,
      layer: '%zz',
      smoothing: null,
      axis: null,
      filter: null,
    },
  );
});

const run = (name, worst, time) => ({
  run: name,
  worst,
  stamp: '',
  model: '',
  last_step: 1,
  last_wall_time: time,
  first_wall_time: 0,
  ended: true,
  params: {},
  sessions: [],
});

test('at first the sickest run is selected, and a healthy one beside it', () => {
  const first = state.firstChoice([run('a', 'low', 1), run('b', null, 2), run('c', 'high', 3), run('d', 'high', 4)]);
  assert.deepEqual(first, ['d', 'b']);
  assert.deepEqual(state.firstChoice([]), []);
});

test('a run keeps its colour as long as it is selected, and a run that is gone comes back', () => {
  let now = state.withRuns(state.initial({ runs: ['a', 'b'] }), [
    run('a', null, 1),
    run('b', null, 1),
    run('c', null, 1),
  ]);
  now = state.withToggled(state.withToggled(now, 'a'), 'c');
  assert.deepEqual([now.chosen, { ...now.colours }], [['b', 'c'], { b: 1, c: 0 }]);
  now = state.withRuns(now, [run('b', null, 1)]);
  assert.deepEqual([now.chosen, now.vanished], [['b'], ['c']]);
  now = state.withRuns(now, [run('b', null, 1), run('c', null, 1)]);
  assert.deepEqual([now.chosen, now.vanished], [['b', 'c'], []]);
});

test('a run named like a property of objects has a colour of its own', () => {
  const { colours } = state.withChosen(state.initial({}), ['constructor', '__proto__']);
  assert.deepEqual([colours['constructor'], colours['__proto__']], [0, 1]);
});

test('the statistic shown at first is the one that the worst finding names', () => {
  const statistics = [
    { id: 'activations.saturated_fraction', table: 'activations' },
    { id: 'gradients.rms', table: 'gradients' },
    { id: 'steps.loss', table: 'steps' },
  ];
  const now = { ...state.initial({}), statistics };
  const saturated = { severity: 'high', statistic: 'activations.saturated_fraction' };
  const shown = (findings, chosen = null) => state.shownStatistic({ ...now, statistic: chosen }, findings).id;
  assert.equal(shown([]), 'gradients.rms');
  assert.equal(shown([{ severity: 'low', statistic: '' }, saturated]), 'activations.saturated_fraction');
  assert.equal(shown([saturated], 'gradients.rms'), 'gradients.rms');
});

test('a finding of no statistic, of an unknown one or of the model as a whole shows the gradients', () => {
  const statistics = [
    { id: 'activations.mean', table: 'activations' },
    { id: 'gradients.rms', table: 'gradients' },
    { id: 'steps.loss', table: 'steps' },
  ];
  const now = { ...state.initial({}), statistics };
  for (const statistic of ['', undefined, 'activations.of_tomorrow', 'steps.loss'])
    assert.equal(state.shownStatistic(now, [{ severity: 'high', statistic }]).id, 'gradients.rms');
});

const framed = (told, values) => {
  const text = JSON.stringify(told);
  const length = new TextEncoder().encode(text).length;
  const header = new TextEncoder().encode(text + ' '.repeat((4 - (length % 4)) % 4));
  const bytes = new Uint8Array(4 + header.length + 4 * values.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, header.length, true);
  bytes.set(header, 4);
  values.forEach((value, index) => view.setFloat32(4 + header.length + 4 * index, value, true));
  return bytes.buffer;
};

test('an answer is decoded with its NaN', () => {
  const found = api.decoded(framed({ stamp: 'é' }, [NaN, 1.5]));
  assert.deepEqual([found.stamp, Array.from(found.values)], ['é', [NaN, 1.5]]);
});

/** A server of which `answer` makes each body; `asked` holds the addresses, `came` waits for all answers. */
const served = (t, answer) => {
  const asked = [];
  t.mock.method(globalThis, 'fetch', async (address) => {
    asked.push(address);
    const body = answer(address);
    if (body instanceof Error)
      return new Response(body.message, { status: 404, headers: { 'content-type': 'text/plain' } });
    return new Response(body instanceof ArrayBuffer ? body : JSON.stringify(body));
  });
  let painted = 0;
  const answers = api.createAnswers(() => (painted += 1));
  const came = async () => {
    while (answers.busy()) await new Promise((resolve) => setImmediate(resolve));
  };
  return { asked, answers, came, painted: () => painted };
};

test('an answer is asked for once, shown when it is there, and kept', async (t) => {
  const { asked, answers, came, painted } = served(t, () => framed({ stamp: '1', steps: [0] }, [0.5]));
  assert.deepEqual({ ...answers.matrix('a b', '1', 'x.y') }.value, null);
  answers.matrix('a b', '1', 'x.y');
  await came();
  assert.equal(painted(), 1);
  const { value } = answers.matrix('a b', '1', 'x.y');
  assert.deepEqual(Array.from(value.values), [0.5]);
  answers.polled();
  assert.equal(answers.matrix('a b', '1', 'x.y').value, value);
  assert.deepEqual(asked, ['matrix?run=a+b&statistic=x.y']);
});

test('the answer about a network is kept as what it describes', async (t) => {
  const { answers, came } = served(t, () => ({ stamp: '1', network: { name: 'mlp' } }));
  answers.network('a', '1');
  await came();
  assert.deepEqual(answers.network('a', '1').value, { name: 'mlp' });
});

test('the old answer is shown until the run that has grown is answered for', async (t) => {
  let stamp = '1';
  const { answers, came } = served(t, () => ({ stamp, epochs: [stamp] }));
  answers.epochs('a', '1');
  await came();
  stamp = '2';
  answers.polled();
  const during = answers.epochs('a', '2');
  assert.deepEqual([during.value.epochs, during.loading], [['1'], true]);
  await came();
  assert.deepEqual(answers.epochs('a', '2').value.epochs, ['2']);
});

test('an answer of an earlier stamp is asked for again at the next poll, not at each paint', async (t) => {
  let stamp = '1';
  const { asked, answers, came } = served(t, () => ({ stamp, epochs: [stamp] }));
  const paint = async () => {
    answers.epochs('a', '2');
    await came();
  };
  await paint();
  await paint();
  assert.equal(asked.length, 1);
  answers.polled();
  await paint();
  await paint();
  assert.equal(asked.length, 2);
  stamp = '2';
  answers.polled();
  await paint();
  assert.deepEqual([asked.length, answers.epochs('a', '2').value.epochs], [3, ['2']]);
  answers.polled();
  await paint();
  assert.equal(asked.length, 3);
});

test('what failed says why, and is asked for again when the person says so or the run has grown', async (t) => {
  let fails = true;
  const { asked, answers, came } = served(t, () => (fails ? new Error('There is no run.') : { stamp: '1' }));
  answers.epochs('a', '1');
  await came();
  answers.polled();
  assert.equal(answers.epochs('a', '1').error, 'There is no run.');
  assert.equal(asked.length, 1);
  fails = false;
  answers.retry();
  answers.epochs('a', '1');
  await came();
  const { value, error } = answers.epochs('a', '1');
  assert.deepEqual([value, error, asked.length], [{ stamp: '1' }, null, 2]);
});

test('however many answers are on the screen, each is asked for once', async (t) => {
  const { asked, answers, came } = served(t, () => ({ stamp: '1' }));
  for (let paint = 0; paint < 3; paint += 1) {
    for (let layer = 0; layer < 400; layer += 1) answers.units('a', '1', `layer ${layer}`);
    await came();
    answers.forget();
  }
  assert.equal(asked.length, 400);
});

test('the answers longest unused are forgotten, the others kept', async (t) => {
  const { asked, answers, came } = served(t, () => ({ stamp: '1' }));
  const see = async (...layers) => {
    for (const layer of layers) answers.units('a', '1', `layer ${layer}`);
    await came();
    answers.forget();
  };
  for (let layer = 0; layer < 310; layer += 1) await see(layer);
  await see(309, 10);
  assert.equal(asked.length, 310);
  await see(0);
  assert.equal(asked.length, 311);
});

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

test('no entry of a histogram is lost, and what lies outside of the picture is counted at its edge', () => {
  // A tenth of the entries lie between -10 and 2, far over the picture from 0 to 1.8: a hundredth of 1.8 in each row.
  const wide = spread.sharesOf(new Float32Array([-10, 2, 100, 0.61, 0.61, 900]), 0, 1.8);
  assert.equal(wide.length, spread.ROWS);
  assert.ok(Math.abs(sum(wide) - 1) < 1e-12, String(sum(wide)));
  assert.ok(Math.abs(wide.at(-1) - (0.1 * 10.02) / 12) < 1e-6, String(wide.at(-1)));
  assert.ok(Math.abs(wide[0] - (0.1 * 0.22) / 12) < 1e-6, String(wide[0]));
  const outside = spread.sharesOf(new Float32Array([-5, -4, 1, 7, 7, 2, -1, 0.25, 4]), 0, 1);
  assert.ok(Math.abs(sum(outside) - 1) < 1e-12);
  assert.ok(Math.abs(outside[0] - 2 / 7) < 1e-6);
});

test('a histogram counts finite bins alone, and one without entries has no shares', () => {
  const found = spread.sharesOf(new Float32Array([0, 1, 5, 1, Infinity, 3, NaN, 1, 2, 1, 1, 0]), 0, 1);
  assert.ok(Math.abs(sum(found) - 1) < 1e-12);
  assert.deepEqual(new Set(found.map((share) => share.toFixed(6))), new Set([(1 / spread.ROWS).toFixed(6)]));
  assert.equal(sum(spread.sharesOf(new Float32Array([0, 0, 0]), 0, 1)), 0);
});

test('a spread keeps all entries of each step', () => {
  const values = new Float32Array([-100, 0.2, 5, 0.2, 0.4, 995, 0, 1, 10, 1, 50, 30]);
  const answer = { steps: [0, 25], wall_times: [0, 25], bins: 2, values };
  const { shares } = spread.spreadOf(answer, 0, 1);
  for (const column of [0, 1]) {
    const step = Array.from({ length: spread.ROWS }, (_, row) => shares[2 * row + column]);
    assert.ok(Math.abs(sum(step) - 1) < 1e-6);
  }
});

const change = (step, unit, state, since = null) => ({ step, unit, state, dead_since_step: since });
const columnsAt = (...steps) => ({ steps, wall_times: steps });

test('a unit is shown dead from the step on since which it is, until it lives again', () => {
  const answer = {
    units: 3,
    last_step: 30,
    left_out: 0,
    changes: [
      change(20, 0, 'dead', 10),
      change(20, 1, 'stuck'),
      change(20, 2, 'confirmed'),
      change(30, 0, 'active'),
      change(30, 9, 'dead'),
    ],
  };
  const columns = columnsAt(0, 10, 20, 30);
  const map = units.mapOf(answer, columns);
  assert.deepEqual(Array.from(map.values), [0, 2, 2, 0, 0, 0, 1, 1, 0, 0, 3, 3]);
  assert.deepEqual(map.dead, [2]);
  assert.equal(units.mapOf(answer, columns), map);
  assert.notEqual(units.mapOf(answer, columnsAt(0)), map);
  assert.equal(units.sentence(answer, map), '1 unit of 3 is dead at step 30: 2.');
});

test('where the oldest changes are left out, it is said that units may be dead though they look active', () => {
  const answer = { units: 3, last_step: 30, left_out: 1200, changes: [change(20, 2, 'dead')] };
  const said = units.sentence(answer, units.mapOf(answer, columnsAt(0, 20)));
  assert.equal(
    said,
    'At least 1 unit of 3 is dead at step 30: 2. The oldest 1,200 changes had no room in the answer: a unit that died ' +
      'before step 20 and has not changed since is shown as active.',
  );
  const none = { ...answer, left_out: 0, changes: [] };
  assert.equal(units.sentence(none, units.mapOf(none, columnsAt(0))), 'No unit of 3 is known to have died.');
});

// ---- What the report page shows alike: `test_shared_rules.py` holds the page against the same cases.

const rules = JSON.parse(await readFile(new URL('shared_rules.json', import.meta.url), 'utf-8'));
const near = (value, other) => Math.abs(value - other) <= 1e-5 * Math.max(1, Math.abs(other));

test('shares read as on the report page', () => {
  for (const [value, text] of rules.fractions) assert.equal(format.number(value, 'fraction'), text);
  for (const [value, text] of rules.shares) assert.equal(format.share(value), text);
});

test('long names are cut where the report page cuts them', () => {
  for (const [name, length, text] of rules.names) assert.equal(format.shortened(name, length), text);
});

test('colours end where those of the report page do', () => {
  for (const { scale, unit, values, low, high } of rules.colours) {
    const range = curves.commonRange(
      values.map((each) => new Float32Array(each)),
      { scale, unit },
    );
    const ends = [range.low, range.high].map((end) => (range.log ? 10 ** end : end));
    assert.ok(near(ends[1] / high, 1) && (range.log ? near(ends[0] / low, 1) : near(ends[0], low)), JSON.stringify(ends));
  }
});

test('histograms are laid on the cells of the report page', () => {
  for (const { bins, low, high, shares, about } of rules.histograms) {
    const most = Math.max(...bins.map((step) => step.length));
    const padded = bins.map((step) => [...step, ...Array(most - step.length).fill([step.at(-1)[1], step.at(-1)[1], 0])]);
    const steps = bins.map((_, index) => index);
    const answer = { steps, wall_times: steps, bins: most, values: new Float32Array(padded.flat(2)) };
    const limits = spread.limitsOf(answer);
    assert.ok(near(limits.low, low) && near(limits.high, high), `${about}: ${JSON.stringify(limits)}`);
    const found = spread.spreadOf(answer, low, high).shares;
    for (const [cell, share] of shares) {
      const there = found[(spread.ROWS - 1 - cell) * steps.length + steps.length - 1];
      assert.ok(near(there, share), `${about}: ${there} in cell ${cell}`);
    }
  }
});

test('units have the states of the report page in its words and colours', () => {
  assert.deepEqual(
    units.STATES.map(({ name, title, colour }) => [name, title, colour]),
    rules.unit_states,
  );
});
