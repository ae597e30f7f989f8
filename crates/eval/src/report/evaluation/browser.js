"use strict";
(() => {
  const data = JSON.parse(document.getElementById("answers-data").textContent);
  const PAGE = 20;
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined && text !== null) element.textContent = text;
    return element;
  };
  const right = (answer) => Boolean(answer) && answer.result === "right";
  const flagged = (answer) => Boolean(answer) && answer.flags.length > 0;
  const score = (answer) => (answer && typeof answer.score === "number" ? answer.score : null);
  const first = (item) => item.answers[0];
  const rest = (item) => item.answers.slice(1);
  const drop = (item) => {
    const from = score(first(item));
    const to = rest(item).map(score).filter((value) => value !== null);
    return from === null || to.length === 0 ? -Infinity : from - Math.min(...to);
  };
  const lowest = (item) => Math.min(...item.answers.map(score).map((value) => (value === null ? Infinity : value)));

  const FILTERS = {
    "all items": () => true,
    "right or wrong differs": (item) => rest(item).some((answer) => right(answer) !== right(first(item))),
    "only the first is right": (item) => right(first(item)) && rest(item).some((answer) => !right(answer)),
    "only another is right": (item) => !right(first(item)) && rest(item).some(right),
    "not right": (item) => item.answers.some((answer) => answer && answer.result && answer.result !== "right"),
    "no option named": (item) => item.answers.some((answer) => answer && answer.result === "unparsed"),
    "disagrees with the reference": (item) => item.answers.some(flagged),
  };
  const ORDERS = {
    "order of ids": null,
    "largest drop first": (a, b) => drop(b) - drop(a),
    "lowest score first": (a, b) => lowest(a) - lowest(b),
  };
  const several = data.runs.length > 1;
  const choices = data.items.some((item) => item.answers.some((answer) => answer && answer.result));
  const of_choices = ["right or wrong differs", "only the first is right", "only another is right", "not right", "no option named"];
  const of_several = ["right or wrong differs", "only the first is right", "only another is right"];
  const filters = Object.keys(FILTERS).filter((name) => (choices || !of_choices.includes(name)) && (several || !of_several.includes(name)));
  const orders = Object.keys(ORDERS).filter((name) => several || name !== "largest drop first");

  const root = document.getElementById("answers");
  const controls = make("div", "controls");
  const select = (label, options) => {
    const box = make("select");
    box.setAttribute("aria-label", label);
    options.forEach((name) => box.append(make("option", "", name)));
    controls.append(box);
    return box;
  };
  const tasks = ["all tasks", ...data.tasks];
  const task = select("Task", tasks);
  task.hidden = data.tasks.length < 2;
  const filter = select("Items", filters);
  const order = select("Order", orders);
  const search = make("input");
  search.type = "search";
  search.placeholder = "find in questions and answers";
  search.setAttribute("aria-label", "Find");
  controls.append(search);
  const list = make("div");
  const pager = make("div", "pager");
  const back = make("button", "", "◂ back");
  const where = make("span");
  const next = make("button", "", "next ▸");
  pager.append(back, where, next);
  root.append(controls, list, pager);

  const texts = new Map();
  const text = (item) => {
    if (!texts.has(item)) {
      const parts = [item.id, item.question, item.reference, ...item.answers.map((answer) => answer && answer.text)];
      texts.set(item, parts.filter(Boolean).join("\n").toLowerCase());
    }
    return texts.get(item);
  };

  const side = (className, heading, note, body, flags) => {
    const box = make("div", `side ${className}`);
    const head = make("h4");
    head.append(make("span", "", heading), make("span", "", note));
    box.append(head);
    if (body) box.append(make("p", "", body));
    if (flags && flags.length > 0) {
      const row = make("div", "flags");
      flags.forEach((flag) => row.append(make("span", "flag", flag)));
      box.append(row);
    }
    return box;
  };
  const card = (item) => {
    const box = make("article", "example");
    const head = make("h3", "", item.question || item.id);
    const sides = make("div", "sides");
    if (item.reference || item.gold) {
      sides.append(side("reference", "Reference", item.gold ? `right: ${item.gold}` : "", item.reference));
    }
    item.answers.forEach((answer, at) => {
      if (!answer) return;
      const picked = answer.result ? `${answer.picked ? `${answer.picked}: ` : ""}${answer.result === "unparsed" ? "no option named" : answer.result}` : "";
      const notes = [picked, answer.scores].filter(Boolean).join(" · ");
      sides.append(side(answer.result || "", data.runs[at], notes, answer.text, answer.flags));
    });
    box.append(head, make("p", "note", `${item.task} · ${item.id}`), sides);
    return box;
  };

  let found = data.items;
  let page = 0;
  const show = () => {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    list.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(card));
    where.textContent = `${found.length} of ${data.items.length} items, page ${page + 1} of ${pages}`;
    back.disabled = page === 0;
    next.disabled = page === pages - 1;
  };
  const choose = () => {
    const wanted = search.value.trim().toLowerCase();
    const keep = FILTERS[filter.value];
    found = data.items.filter((item) => (task.selectedIndex === 0 || item.task === task.value) && keep(item) && (!wanted || text(item).includes(wanted)));
    if (ORDERS[order.value]) found = [...found].sort(ORDERS[order.value]);
    page = 0;
    show();
  };
  [task, filter, order].forEach((box) => box.addEventListener("change", choose));
  search.addEventListener("input", choose);
  back.addEventListener("click", () => { page -= 1; show(); });
  next.addEventListener("click", () => { page += 1; show(); });
  choose();
})();
