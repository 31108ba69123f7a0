// Replacing only the changed parts of a message.

/** Replace only the blocks that differ. Selections and controls above and below a growing text stay as they are. */
export function patch(body, html, world) {
  const template = document.createElement("template");
  template.innerHTML = html;
  world.personalize(template.content);
  const fresh = [...template.content.childNodes];
  const known = [...body.childNodes];
  for (const node of fresh) node.source = node.outerHTML || node.textContent;
  const isSame = (one, other) => one?.source === other?.source;
  const most = Math.min(fresh.length, known.length);
  let head = 0;
  while (head < most && isSame(known[head], fresh[head])) head += 1;
  let tail = 0;
  while (tail < most - head && isSame(known.at(-1 - tail), fresh.at(-1 - tail))) tail += 1;
  for (const node of known.slice(head, known.length - tail)) node.remove();
  const before = known[known.length - tail] || null;
  for (const node of fresh.slice(head, fresh.length - tail)) body.insertBefore(node, before);
}
