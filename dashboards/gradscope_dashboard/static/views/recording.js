// How often was recorded, what that cost, and what of the model is not measured, with the reason.

import { absence } from '../api.js';
import { places } from '../curves.js';
import { h, replaceChildren, whenReplaced } from '../dom.js';
import { counted, duration, name, share, whole } from '../format.js';
import { runTitle } from './run_title.js';

/** @typedef {import('../types.js').Scene} Scene */
/** @typedef {import('../types.js').RunInfo} RunInfo */
/** @typedef {import('../types.js').StepCurves} StepCurves */

/**
 * @param {HTMLElement} root
 * @returns {import('../types.js').Update}
 */
export function createRecording(root) {
  const columns = h('div', { class: 'columns' });
  root.append(columns);
  /** @type {Scene} */
  let now;
  const show = whenReplaced((/** @type {unknown[]} */ ..._inputs) => {
    replaceChildren(columns, ...now.chosen.map((run) => column(now, run)));
  });
  return (scene) => {
    now = scene;
    const answers = scene.chosen.flatMap((run) => [
      scene.answers.steps(run.run, run.stamp),
      scene.answers.network(run.run, run.stamp),
      scene.answers.epochs(run.run, run.stamp),
    ]);
    show(scene.theme, scene.state.axis, ...scene.chosen, ...answers.flatMap((answer) => [answer.value, answer.error]));
  };
}

/**
 * @param {Scene} scene
 * @param {RunInfo} run
 * @returns {HTMLElement}
 */
function column(scene, run) {
  const steps = scene.answers.steps(run.run, run.stamp);
  const missing = scene.answers.network(run.run, run.stamp).value?.not_measured ?? [];
  const content =
    steps.value === null
      ? [h('p', { class: 'note' }, absence(steps))]
      : [
          recorded(run, steps.value, scene.answers.epochs(run.run, run.stamp).value),
          rug(scene, steps.value),
          costs(steps.value),
        ];
  const details = h(
    'details',
    null,
    h('summary', null, `${counted(missing.length, 'part')} of the model not measured`),
    h('ul', null, ...missing.map((item) => h('li', null, `${name(item.name)}: ${name(item.reason)}`))),
  );
  details.dataset.key = `missing ${run.run}`;
  const resumed = run.sessions.filter((session) => session.resumed);
  return h(
    'div',
    { class: 'column card' },
    runTitle(scene, run),
    ...content,
    resumed.length > 0 &&
      h('p', { class: 'note' }, `Resumed at step ${resumed.map((session) => whole(session.step)).join(', ')}.`),
    missing.length > 0 && details,
  );
}

/**
 * @param {RunInfo} run
 * @param {StepCurves} curves
 * @param {import('../types.js').Epochs | null} epochs
 * @returns {HTMLElement}
 */
function recorded(run, curves, epochs) {
  const last = Math.max(curves.last_steps.at(-1) ?? 0, epochs?.epochs.at(-1)?.step ?? 0);
  return h('p', null, `${whole(curves.recorded)} of ${whole(last + 1)} steps recorded${run.ended ? '' : ' so far'}`);
}

/**
 * Return a strip with a stroke for each recorded step.
 * @param {Scene} scene
 * @param {StepCurves} curves
 * @returns {HTMLElement}
 */
function rug({ state }, curves) {
  const at = places(curves, state.axis);
  const first = at[0] ?? 0;
  const span = (at.at(-1) ?? 0) - first || 1;
  const strokes = [...new Set(at.map((place) => Math.round((1000 * (place - first)) / span)))];
  const strip = h('div', {
    class: 'rug',
    role: 'img',
    'aria-label': `${whole(curves.recorded)} recorded steps from ${whole(curves.steps[0] ?? 0)} to ${whole(curves.last_steps.at(-1) ?? 0)}`,
  });
  strip.style.backgroundImage =
    strokes.length > 400 ? 'none' : strokes.map(() => 'linear-gradient(currentColor, currentColor)').join(', ');
  strip.style.backgroundPosition = strokes.map((stroke) => `${stroke / 10}% 0`).join(', ');
  strip.classList.toggle('full', strokes.length > 400);
  return strip;
}

/**
 * @param {StepCurves} curves
 * @returns {HTMLElement}
 */
function costs({ costs, training_seconds: training }) {
  if (!(training > 0)) return h('p', { class: 'note' }, 'What recording costs is known at the end of the first epoch.');
  return h(
    'table',
    { class: 'numbers costs' },
    h(
      'thead',
      null,
      h(
        'tr',
        null,
        h('th', { scope: 'col' }, 'time'),
        h('th', { scope: 'col' }, ''),
        h('th', { scope: 'col' }, 'of the training'),
      ),
    ),
    h(
      'tbody',
      null,
      h('tr', null, h('th', { scope: 'row' }, 'training itself'), h('td', null, duration(training)), h('td', null, '')),
      ...costs.map(({ title, meaning, seconds }) =>
        h(
          'tr',
          { title: meaning },
          h('th', { scope: 'row' }, `recording: ${title}`),
          h('td', null, duration(seconds)),
          h('td', null, share(seconds / training)),
        ),
      ),
    ),
  );
}
