// Unit tests of the tab's pure modules, for `node --test`.

import assert from 'node:assert/strict';
import { test } from 'node:test';

const at = (name) => import(new URL(`../../dashboards/gradscope_dashboard/static/${name}`, import.meta.url));
const format = await at('format.js');
const curves = await at('curves.js');
const columns = await at('columns.js');
const download = await at('download.js');
const link = await at('link.js');
const state = await at('state.js');
const api = await at('api.js');

test('numbers are written as people read them', () => {
  assert.deepEqual(
    [0, 1.1e-6, -1.1e-6, 0.042, 1234, 123456.7, 1e9, NaN, null, Infinity, -0.5].map((value) => format.number(value)),
    ['0', '1.1e-6', '−1.1e-6', '0.042', '1,234', '1.2e5', '1.0e9', 'not recorded', 'not recorded', '∞', '−0.5'],
  );
});

test('shares are written in per cent, and never rounded to none or all', () => {
  assert.deepEqual(
    [0, 1e-6, 0.034, 0.931, 0.99999, 1].map((value) => format.number(value, 'fraction')),
    ['0 %', '< 0.1 %', '3.4 %', '93 %', '> 99.9 %', '100 %'],
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
  assert.equal(format.shortened('block_1/attention/query', 11), 'block…query');
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

test('all pictures share one range of colours, fractions always the whole one', () => {
  const log = { scale: 'log', unit: '' };
  assert.deepEqual(curves.commonRange([new Float32Array([1e-4, NaN]), new Float32Array([1, 0])], log), {
    low: Math.log10(new Float32Array([1e-4])[0]),
    high: 0,
    log: true,
  });
  assert.deepEqual(curves.commonRange([new Float32Array([0.2])], { scale: 'linear', unit: 'fraction' }), {
    low: 0,
    high: 1,
    log: false,
  });
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

test('a census behind the last step is left out where it is empty, a step of NaN is not', () => {
  const found = matrix([0, 5, 9], ['a', 'b'], [1, NaN, NaN, 2, NaN, NaN]);
  const cut = columns.withoutCensus(found, 5);
  assert.deepEqual(
    [cut.steps, Array.from(cut.values)],
    [
      [0, 5],
      [1, NaN, 2, NaN],
    ],
  );
  assert.equal(columns.withoutCensus(found, 5), cut);
  assert.equal(columns.columnAt(cut, null), 0);
  const dead = matrix([0, 9], ['a'], [NaN, 0.5]);
  assert.equal(columns.withoutCensus(dead, 0), dead);
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

test('the statistic shown at first is that of the worst finding', () => {
  const statistics = ['activations.saturated_fraction', 'gradients.rms'].map((id) => ({ id }));
  const now = { ...state.initial({}), statistics };
  assert.equal(state.shownStatistic(now, []).id, 'gradients.rms');
  assert.equal(
    state.shownStatistic(now, [
      { severity: 'low', rule: 'x' },
      { severity: 'high', rule: 'saturated_activation' },
    ]).id,
    'activations.saturated_fraction',
  );
  assert.equal(
    state.shownStatistic({ ...now, statistic: 'gradients.rms' }, [{ severity: 'high', rule: 'saturated_activation' }])
      .id,
    'gradients.rms',
  );
});

test('an answer is decoded with its NaN', () => {
  const header = new TextEncoder().encode(JSON.stringify({ stamp: 'é' }).padEnd(19));
  assert.equal(header.length % 4, 0);
  const bytes = new Uint8Array(4 + header.length + 8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, header.length, true);
  bytes.set(header, 4);
  view.setFloat32(4 + header.length, NaN, true);
  view.setFloat32(8 + header.length, 1.5, true);
  const found = api.decoded(bytes.buffer);
  assert.deepEqual([found.stamp, Array.from(found.values)], ['é', [NaN, 1.5]]);
});
