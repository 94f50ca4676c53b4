// Which units of a layer are dead at each recorded step, from the steps at which they change, and that in words.

import { counted, whole } from './format.js';

/** @typedef {import('./types.js').Units} Units */

/** Units listed by number. */
const LISTED = 60;

/**
 * What a unit can be found to be, each worse than the one before, as on the report page.
 * @type {{name: import('./types.js').UnitState, title: string, colour: string}[]}
 */
export const STATES = [
  { name: 'active', title: 'active', colour: '#6B93AC' },
  { name: 'stuck', title: 'stuck in one tail', colour: '#E69F00' },
  { name: 'dead', title: 'dead', colour: '#B5452C' },
  { name: 'confirmed', title: 'dead, its gradient exactly 0', colour: '#5A1800' },
];

/**
 * @typedef {object} UnitMap
 * @property {{steps: number[], wall_times: number[]}} columns
 * @property {Float32Array} values Of each unit at each step, the place of its state among `STATES`.
 * @property {number[]} dead Units that are dead at the end.
 */

/** @type {WeakMap<Units, UnitMap>} */
const known = new WeakMap();

/**
 * Return the state of each unit at each recorded step; from the step on since which a unit is dead, it is shown dead.
 * @param {Units} answer
 * @param {{steps: number[], wall_times: number[]}} columns
 * @returns {UnitMap}
 */
export function mapOf(answer, columns) {
  const before = known.get(answer);
  if (before && before.columns === columns) return before;
  const { steps } = columns;
  const values = new Float32Array(answer.units * steps.length);
  const dead = new Set();
  for (const change of answer.changes) {
    if (change.unit >= answer.units) continue;
    const isDead = change.state === 'dead' || change.state === 'confirmed';
    if (isDead) dead.add(change.unit);
    else dead.delete(change.unit);
    const from = isDead ? (change.dead_since_step ?? change.step) : change.step;
    const state = STATES.findIndex((known) => known.name === change.state);
    steps.forEach((step, column) => {
      if (step >= from) values[change.unit * steps.length + column] = state;
    });
  }
  const map = { columns, values, dead: [...dead].sort((a, b) => a - b) };
  known.set(answer, map);
  return map;
}

/**
 * @param {Units} answer
 * @param {UnitMap} map
 * @returns {string}
 */
export function sentence({ units, last_step: last, changes, left_out: missing }, { dead }) {
  if (changes.length === 0 && missing === 0) return `No unit of ${whole(units)} is known to have died.`;
  const listed = dead.slice(0, LISTED).join(', ') + (dead.length > LISTED ? ' …' : '');
  const atLeast = missing > 0 ? 'At least ' : '';
  const known = `${atLeast}${counted(dead.length, 'unit')} of ${whole(units)} ${dead.length === 1 ? 'is' : 'are'} dead at step ${whole(last)}${dead.length ? `: ${listed}` : ''}.`;
  return missing > 0 ? `${known} ${withoutOldest(missing, changes[0]?.step ?? last)}` : known;
}

/**
 * @param {number} missing
 * @param {number} since
 * @returns {string}
 */
function withoutOldest(missing, since) {
  return `The oldest ${counted(missing, 'change')} had no room in the answer: a unit that died before step ${whole(since)} and has not changed since is shown as active.`;
}
