// The step that is looked at: a slider over all recorded steps, at the foot of the page whatever it shows.

import { lastNotAbove } from '../curves.js';
import { h } from '../dom.js';
import { whole } from '../format.js';

/**
 * @param {HTMLElement} root
 * @returns {(scene: import('../types.js').Scene, visible: boolean) => void}
 */
export function createStepper(root) {
  /** @type {import('../types.js').Scene | null} */
  let scene = null;
  /** @type {number[]} */
  let all = [];
  const slider = h('input', {
    type: 'range',
    id: 'step',
    min: '0',
    step: '1',
    oninput: () => go(Number(slider.value)),
  });
  const text = h('output', { for: 'step' });
  const latest = h(
    'button',
    { type: 'button', class: 'quiet', title: 'Follow the latest recorded step', onclick: () => set(null) },
    'Latest',
  );
  const element = h(
    'div',
    { class: 'stepper' },
    h('label', { for: 'step' }, 'Step'),
    h(
      'button',
      {
        type: 'button',
        class: 'quiet',
        'aria-label': 'One recorded step back',
        onclick: () => go(Number(slider.value) - 1),
      },
      '◀',
    ),
    slider,
    h(
      'button',
      {
        type: 'button',
        class: 'quiet',
        'aria-label': 'One recorded step on',
        onclick: () => go(Number(slider.value) + 1),
      },
      '▶',
    ),
    text,
    latest,
  );
  root.append(element);

  /** @param {number} index */
  function go(index) {
    const step = all[Math.min(Math.max(index, 0), all.length - 1)];
    if (step !== undefined) set(step);
  }

  /** @param {number | null} step */
  function set(step) {
    scene?.actions.change((state) => ({ ...state, step }));
  }

  return (now, visible) => {
    scene = now;
    const answers = now.chosen.map((run) => now.answers.steps(run.run, run.stamp).value);
    all = [...new Set(answers.flatMap((answer) => answer?.steps ?? []))].sort((a, b) => a - b);
    element.hidden = !visible || all.length === 0;
    if (element.hidden) return;
    const { step } = now.state;
    const index = step === null ? all.length - 1 : lastNotAbove(all, step);
    const at = all[index] ?? 0;
    slider.max = String(all.length - 1);
    slider.value = String(index);
    const [first] = answers.filter((answer) => answer !== null);
    const epoch = first?.epochs[lastNotAbove(first.steps, at)];
    const shown = `${whole(at)}${epoch === undefined ? '' : ` (epoch ${epoch})`}`;
    text.textContent = step === null ? `${shown}, the latest` : shown;
    slider.setAttribute('aria-valuetext', `step ${shown}`);
    latest.disabled = step === null;
  };
}
