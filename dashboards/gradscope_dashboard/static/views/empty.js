// What stands there when nothing has been recorded yet: how to record.

import { h } from '../dom.js';

const CODE = `import gradscope

scope = gradscope.GradScope("logs/mlp")
model.fit(x, y, epochs=5, callbacks=[scope])`;

/**
 * @param {HTMLElement} root
 * @returns {import('../types.js').Update}
 */
export function createEmpty(root) {
  root.hidden = true;
  root.append(
    h('h2', null, 'No recorded run in this log directory yet'),
    h('p', null, 'GradScope is one callback. It records, per layer, saturated activations, dead units and gradients:'),
    h('pre', { tabIndex: 0, 'aria-label': 'Code that records a training' }, h('code', null, CODE)),
    h(
      'p',
      null,
      'Start TensorBoard on the directory above it, ',
      h('code', null, 'tensorboard --logdir logs'),
      ', and this page fills while the training runs. Without a training at hand, ',
      h('code', null, 'gradscope demo --dir logs'),
      ' records a sick and a healthy network.',
    ),
  );
  return ({ state }) => {
    root.hidden = state.runs?.length !== 0;
  };
}
