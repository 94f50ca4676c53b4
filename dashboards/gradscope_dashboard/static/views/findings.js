// What is wrong with the selected runs: how bad, in which layer, since when, in words, and what to try.

import { h, replaceChildren, whenReplaced } from '../dom.js';
import { counted, name, number, shortened, steps, whole, words } from '../format.js';
import { absence } from '../api.js';
import { MOST_COLUMNS, rank } from '../state.js';
import { runTitle } from './run_title.js';
import { severityMark } from './severity.js';

/** @typedef {import('../types.js').Finding} Finding */
/** @typedef {import('../index.js').Actions} Actions */

/**
 * @param {HTMLElement} root
 * @returns {import('../types.js').Update}
 */
export function createFindings(root) {
  const columns = h('div', { class: 'columns' });
  root.append(columns);
  /** @type {import('../types.js').Scene} */
  let last;
  const show = whenReplaced((/** @type {unknown[]} */ ..._inputs) => {
    replaceChildren(columns, ...last.chosen.slice(0, MOST_COLUMNS).map((run) => column(last, run)), note(last));
  });
  return (scene) => {
    last = scene;
    const shown = scene.chosen.slice(0, MOST_COLUMNS);
    const answers = shown.map((run) => scene.answers.findings(run.run, run.stamp));
    show(
      scene.theme,
      scene.chosen.length,
      ...shown.map((run) => run.run),
      ...shown.map((run) => run.ended),
      ...answers.flatMap((answer) => [answer.value, answer.error]),
    );
  };
}

/**
 * @param {import('../types.js').Scene} scene
 * @returns {HTMLElement | null}
 */
function note({ chosen }) {
  if (chosen.length <= MOST_COLUMNS) return null;
  return h(
    'p',
    { class: 'note wide' },
    `The first ${MOST_COLUMNS} of ${whole(chosen.length)} selected runs. Curves below show them all.`,
  );
}

/**
 * @param {import('../types.js').Scene} scene
 * @param {import('../types.js').RunInfo} run
 * @returns {HTMLElement}
 */
function column(scene, run) {
  const answer = scene.answers.findings(run.run, run.stamp);
  return h(
    'div',
    { class: 'column card' },
    runTitle(scene, run),
    ...(answer.value ? all(answer.value, run, scene.actions) : [h('p', { class: 'note' }, absence(answer))]),
  );
}

/**
 * @param {import('../types.js').FindingsAnswer} answer
 * @param {import('../types.js').RunInfo} run
 * @param {Actions} actions
 * @returns {HTMLElement[]}
 */
function all({ findings, step }, run, actions) {
  if (step === null) {
    const text = run.ended
      ? 'This run was recorded without findings.'
      : 'No findings yet: they appear here as soon as they are certain.';
    return [h('p', { class: 'note' }, text)];
  }
  const keys = new Set(findings.map((finding) => finding.key));
  const roots = findings
    .filter((finding) => finding.cause === null || !keys.has(finding.cause))
    .sort((a, b) => rank(b.severity) - rank(a.severity));
  const loud = roots.filter((finding) => finding.severity !== 'low');
  const quiet = roots.filter((finding) => finding.severity === 'low');
  const item = (/** @type {Finding} */ finding) => card(finding, findings, run.run, actions);
  const elements = [];
  if (loud.length === 0) {
    const when = run.ended ? '' : `, looked at up to step ${whole(step)}`;
    elements.push(
      h(
        'p',
        { class: 'healthy' },
        h('span', { 'aria-hidden': 'true' }, quiet.length ? '' : '✓ '),
        `No findings of medium or high severity${when}.`,
      ),
    );
  } else elements.push(h('ul', { class: 'findings' }, ...loud.map(item)));
  if (quiet.length) {
    const details = h(
      'details',
      { class: 'quiet-findings' },
      h('summary', null, `${counted(quiet.length, 'finding')} for information`),
      h('ul', { class: 'findings' }, ...quiet.map(item)),
    );
    details.dataset.key = `quiet ${run.run}`;
    elements.push(details);
  }
  return elements;
}

/**
 * @param {Finding} finding
 * @param {Finding[]} all
 * @param {string} run
 * @param {Actions} actions
 * @returns {HTMLElement}
 */
export function card(finding, all, run, actions) {
  const follows = all.filter((other) => other.cause === finding.key);
  const [first, ...others] = finding.advice;
  const details = h(
    'details',
    null,
    h('summary', null, first ? h('strong', null, 'Try: ') : 'Evidence', first?.text),
    first?.code && h('pre', { tabIndex: 0 }, h('code', null, first.code)),
    h('p', null, h('strong', null, 'Evidence:')),
    h('ul', { class: 'evidence' }, ...finding.evidence.map((item) => h('li', null, evidence(item)))),
    finding.layers.length > 1 &&
      h('p', null, `Layers: ${finding.layers.map((layer) => shortened(name(layer), 60)).join(', ')}`),
    finding.units.length > 0 &&
      h('p', null, `Units of ${shortened(name(finding.layer ?? ''), 60)}: ${finding.units.join(', ')}`),
    ...others.flatMap(({ text, code }) => [
      h('p', null, h('strong', null, 'Try: '), text),
      code && h('pre', { tabIndex: 0 }, h('code', null, code)),
    ]),
  );
  details.dataset.key = `details ${run} ${finding.key}`;
  return h(
    'li',
    { class: `finding ${finding.severity}` },
    headline(finding, run, actions),
    h('p', { class: 'message' }, shortened(name(finding.message), 600)),
    details,
    follows.length > 0 &&
      h(
        'div',
        { class: 'follows' },
        h('span', { class: 'note' }, 'Follows from it:'),
        ...follows.map((other) => headline(other, run, actions)),
      ),
  );
}

/**
 * Return the line that names a finding; a click on it goes to its layer and step.
 * @param {Finding} finding
 * @param {string} run
 * @param {Actions} actions
 * @returns {HTMLElement}
 */
function headline(finding, run, actions) {
  const where = finding.layer === null ? 'in the whole model' : `in ${shortened(name(finding.layer), 40)}`;
  const button = h(
    'button',
    {
      type: 'button',
      class: 'headline',
      title:
        finding.layer === null
          ? 'Show the network at this step'
          : `Open ${name(finding.layer)} at step ${whole(finding.first_step)}`,
      onclick: () => actions.open(finding.layer, finding.first_step),
    },
    severityMark(finding.severity),
    h('span', { class: 'rule' }, words(finding.rule)),
    h('span', null, where),
    h('span', { class: 'note' }, steps(finding.first_step, finding.last_step)),
  );
  button.dataset.key = `finding ${run} ${finding.key}`;
  return button;
}

/**
 * @param {Finding['evidence'][number]} item
 * @returns {string}
 */
function evidence({ name: what, value, threshold, above, unit }) {
  const limit = threshold === null ? '' : ` (limit: ${above ? '≥' : '≤'} ${number(threshold, unit)})`;
  return `${name(what)}: ${value === null ? 'not a finite number' : number(value, unit)}${limit}`;
}
