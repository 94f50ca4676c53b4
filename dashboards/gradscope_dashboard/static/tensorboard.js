// TensorBoard's messages to the pages in its tabs: the guest's side of its experimental protocol.

/**
 * Call `reloaded` whenever TensorBoard has read the log directory anew.
 * @param {() => void} reloaded
 */
export function whenReloaded(reloaded) {
  if (window.parent === window) return;
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.isReply) return;
    if (message.type === 'experimental.DataReloaded') reloaded();
    port1.postMessage(
      JSON.stringify({ type: message.type, id: message.id, payload: null, error: null, isReply: true }),
    );
  };
  window.parent.postMessage('experimental.bootstrap', '*', [port2]);
}
