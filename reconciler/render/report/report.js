// The table of all batches: filtered, sorted, a page at a time, each row with its story on request.
// Everything shown is made as text; the page's policy lets nothing here make markup of a string.
"use strict";
(() => {
  const PAGE = 50;
  const SYNCS = ["Ambiguous", "Unknown", "OutOfSync", "Synced"];
  const HEALTHS = ["Degraded", "Unknown", "Missing", "Progressing", "Completed", "Healthy"];
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const word = (place) => data.words[place];
  const count = (number) => number.toLocaleString("en-US");
  const table = byId("all");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const fields = { text: byId("text"), set: byId("set"), sync: byId("sync"), health: byId("health") };
  const opened = new Set();
  let rows = [];
  const state = { by: "", down: false, page: 0, run: -1, only: "" };

  data.rows.forEach((row, place) => {
    row.place = place;
    row.reason = row.why ? word(row.why - 1) : "";
    row.all = [row.address, row.name || "", row.batch, row.status, row.sync, row.health, row.reason, row.key]
      .concat((row.lines || []).map((line) => `${data.runs[line[1]][1]} ${line[5]}`))
      .join("\n").toLowerCase();
  });

  // What is put together: elements, text, nothing else.
  const make = (name, attributes, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
    element.append(...children.filter((child) => child !== null && child !== ""));
    return element;
  };
  const mark = (name) => {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("class", `mark is-${name.toLowerCase()}`);
    svg.setAttribute("aria-hidden", "true");
    const use = document.createElementNS(space, "use");
    use.setAttribute("href", `#m-${name.toLowerCase()}`);
    svg.append(use);
    return svg;
  };
  const labelled = (name) => make("span", { class: "word" }, mark(name), name);
  const code = (text) => (text ? make("code", null, text) : "");
  const spoken = (time) => time.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z$/, "$1 $2");
  const when = (time) => (time ? make("time", { datetime: time }, spoken(time)) : "");
  const fared = (row) => {
    if (!row.files) return "";
    return count(row.files[0]) + (row.files[1] ? `, ${count(row.files[1])} failed` : "");
  };
  const facts = (pairs) => make("dl", null, ...pairs.filter(([, value]) => value)
    .flatMap(([name, value]) => [make("dt", null, name), make("dd", null, ...[value].flat())]));
  const part = (heading, content, kind) => make("div", kind ? { class: kind } : null, make("h3", null, heading), content);

  // One batch's story.
  const event = (line) => {
    const [time, at, action, outcome, why, batch, plan, file, number, request] = line;
    const [run, actor, source, approver, approverSource, commit, dirty, ci] = data.runs[at];
    const did = word(outcome) && word(outcome) !== word(action) ? `${word(action)}: ${word(outcome)}` : word(action);
    return make("li", null,
      make("div", null, when(time), " ", make("b", null, did), " ", code(batch)),
      facts([
        ["why", word(why)],
        ["who", source ? `${actor} (${source})` : actor],
        ["approved by", approver ? `${approver} (${approverSource})` : "unknown"],
        ["commit", commit && [code(commit), dirty ? " and changes beside it" : ""].filter(Boolean)],
        ["plan", word(plan) && code(word(plan))],
        ["run", code(run)],
        ["CI run", ci],
        ["request", code(request)],
        ["line", code(word(file) + number)],
      ]));
  };
  const recordedFacts = (row) => {
    const [origin, recorded, , , changed, reason] = row.recorded || [];
    return [
      ["batch", code(row.batch)],
      ["directory", row.name || ""],
      ["work", code(row.key)],
      ["made", row.made && [when(row.made), row.age ? `, ${row.age} ago` : ""].filter(Boolean)],
      ["changed", changed && when(changed)],
      ["recorded", recorded && [when(recorded), `, ${word(origin)}`]],
      ["made for", reason === undefined ? "" : word(reason)],
      ["watched", row.watched ? "only watched: its service forms it" : ""],
      ["files", fared(row)],
    ];
  };
  const story = (row) => {
    const inner = make("div", { class: "inner" });
    if (row.reason) inner.append(part(`Why it is ${row.sync}`, make("p", null, row.reason), "all"));
    inner.append(part("As it stands", facts(recordedFacts(row))));
    inner.append(part("Next", make("ul", { class: "commands" },
      ...row.next.map(([text, does]) => make("li", null, code(text), make("span", { class: "below" }, word(does)))))));
    if (row.surplus) {
      inner.append(part("Surplus: the same work, once more", make("ul", null,
        ...row.surplus.map(([id, status, made]) => make("li", null, code(id), ` ${status} `, when(made))))));
    }
    if (row.earlier) {
      inner.append(part("Other batches of this work", make("ul", null, ...row.earlier.map(
        ([id, origin, , status, made]) => make("li", null, code(id), ` ${word(status)}, ${word(origin)} `, when(made))))));
    }
    if (row.failed || row.unread) {
      const names = (row.failed || []).map(([name, error]) => make("li", null, make("bdi", null, name), error ? `: ${error}` : ""));
      inner.append(part("Files that failed", make("ul", null, ...names, row.unread ? make("li", null, row.unread) : "")));
    }
    inner.append(part("What happened", row.lines
      ? make("ol", null, ...row.lines.map(event))
      : make("p", null, "The audit log has nothing about it."), "all"));
    return make("tr", { class: "story", id: `story-${row.place}` },
      make("td", { colspan: heads.length }, inner));
  };

  // Which rows, in which order.
  const only = {
    running: (row) => row.running,
    failed: (row) => row.files && row.files[1],
    surplus: (row) => row.surplus,
  };
  const shown = () => {
    const words = fields.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const { value: set } = fields.set, { value: sync } = fields.sync, { value: health } = fields.health;
    const rows = data.rows.filter((row) => (!set || row.set === set) && (!sync || row.sync === sync)
      && (!health || row.health === health) && (!state.only || only[state.only](row))
      && (state.run < 0 || (row.lines || []).some((line) => line[1] === state.run))
      && words.every((text) => row.all.includes(text)));
    return state.by ? rows.sort(order) : rows;
  };
  const values = {
    address: (row) => row.address,
    sync: (row) => SYNCS.indexOf(row.sync),
    health: (row) => HEALTHS.indexOf(row.health),
    status: (row) => row.status,
    files: (row) => (row.files ? row.files[1] * 1e9 + row.files[0] : -1),
    made: (row) => row.made,
    batch: (row) => row.batch,
  };
  const order = (one, other) => {
    const of = values[state.by], a = of(one), b = of(other);
    const empty = (value) => value === "" || value === -1;
    if (empty(a) !== empty(b)) return empty(a) ? 1 : -1; // what is not known comes last either way
    const sign = a < b ? -1 : a > b ? 1 : one.place - other.place;
    return a === b ? sign : state.down ? -sign : sign;
  };

  const tell = (button, place) => {
    const isOpen = opened.has(place);
    button.setAttribute("aria-expanded", isOpen);
    if (isOpen) button.setAttribute("aria-controls", `story-${place}`);
    else button.removeAttribute("aria-controls");
    button.closest("tr").classList.toggle("opened", isOpen);
  };
  const drawRow = (row, at) => {
    const button = make("button", { type: "button", class: "open", "data-place": row.place }, code(row.address));
    const first = make("th", { scope: "row" }, button,
      row.name ? make("bdi", { class: "below" }, row.name) : "",
      row.reason ? make("span", { class: "below why" }, row.reason) : "");
    const cells = [labelled(row.sync), labelled(row.health), row.status,
      make("span", { class: "number" }, fared(row)), when(row.made), code(row.batch)];
    const line = make("tr", { "aria-rowindex": at + 2 }, first, ...cells.map((cell) => make("td", null, cell)));
    tell(button, row.place);
    return line;
  };
  const drawn = (from, to) => {
    const made = [];
    for (let at = from; at < Math.min(to, rows.length); at += 1) {
      made.push(drawRow(rows[at], at));
      if (opened.has(rows[at].place)) made.push(story(rows[at]));
    }
    return made;
  };
  const described = () => {
    const parts = [];
    if (fields.text.value.trim()) parts.push(`text “${fields.text.value.trim()}”`);
    for (const name of ["set", "sync", "health"]) if (fields[name].value) parts.push(`${name} ${fields[name].value}`);
    const words = { running: "still running", failed: "with files that failed", surplus: "with surplus batches" };
    if (state.only) parts.push(words[state.only]);
    if (state.run >= 0) parts.push(`touched by run ${data.runs[state.run][0]}`);
    return parts.length ? `: ${parts.join(", ")}` : "";
  };
  const say = (text) => { if (byId("count").textContent !== text) byId("count").textContent = text; };
  const show = () => {
    rows = shown();
    const last = Math.max(Math.ceil(rows.length / PAGE) - 1, 0);
    state.page = Math.min(state.page, last);
    body.replaceChildren(...drawn(state.page * PAGE, (state.page + 1) * PAGE));
    table.setAttribute("aria-rowcount", rows.length + 1);
    const all = data.rows.length;
    say(`${count(rows.length)} of ${count(all)} ${all === 1 ? "batch" : "batches"}${described()}`);
    const [before, where, after] = pages;
    byId("pages").hidden = last === 0;
    before.disabled = state.page === 0;
    after.disabled = state.page === last;
    where.textContent = `${count(state.page * PAGE + 1)} to ${count(Math.min((state.page + 1) * PAGE, rows.length))} of ${count(rows.length)}`;
    heads.forEach((head) => head.setAttribute("aria-sort", head.dataset.name === state.by ? (state.down ? "descending" : "ascending") : "none"));
  };
  const again = () => { state.page = 0; show(); };
  const turn = (by) => {
    state.page += by;
    show();
    const to = byId("batches-heading");
    to.scrollIntoView();
    if (document.activeElement.disabled) to.focus({ preventScroll: true });
  };
  const pages = [
    make("button", { type: "button" }, "Earlier rows"),
    make("span", null),
    make("button", { type: "button" }, "Later rows"),
  ];
  pages[0].addEventListener("click", () => turn(-1));
  pages[2].addEventListener("click", () => turn(1));
  byId("pages").append(...pages);

  const forget = () => {
    state.run = -1;
    state.only = "";
    for (const field of Object.values(fields)) field.value = "";
  };
  fields.text.addEventListener("input", again);
  for (const name of ["set", "sync", "health"]) fields[name].addEventListener("change", again);
  byId("controls").addEventListener("submit", (event_) => event_.preventDefault());
  byId("controls").addEventListener("reset", (event_) => { event_.preventDefault(); forget(); again(); });
  table.tHead.addEventListener("click", (event_) => {
    const button = event_.target.closest("button");
    if (!button) return;
    if (state.by !== button.dataset.by) Object.assign(state, { by: button.dataset.by, down: false });
    else if (!state.down) state.down = true;
    else Object.assign(state, { by: "", down: false }); // as it was in the beginning
    again();
  });
  body.addEventListener("click", (event_) => {
    const button = event_.target.closest("button.open");
    if (!button) return;
    const place = Number(button.dataset.place), line = button.closest("tr");
    if (opened.delete(place)) line.nextElementSibling.remove();
    else {
      opened.add(place);
      line.after(story(data.rows[place]));
    }
    tell(button, place);
  });
  // Figures, the parts of bars, their words, and runs lead here.
  document.addEventListener("click", (event_) => {
    const drawn = event_.target.closest(".bar rect"); // whose words stand below it
    const link = drawn
      ? drawn.ownerSVGElement.nextElementSibling?.querySelector(`.mark.${drawn.getAttribute("class")}`)?.closest("a")
      : event_.target.closest('a[href="#batches"]');
    if (!link || link.classList.contains("skip") || link.closest(".contents")) return;
    event_.preventDefault();
    forget();
    for (const name of ["set", "sync", "health"]) if (link.dataset[name]) fields[name].value = link.dataset[name];
    if (link.dataset.run) state.run = Number(link.dataset.run);
    if (link.dataset.state) state.only = link.dataset.state;
    again();
    byId("batches-heading").scrollIntoView();
    byId("batches-heading").focus({ preventScroll: true });
  });
  // On paper there are no pages to turn: every row that is shown is there.
  addEventListener("beforeprint", () => body.replaceChildren(...drawn(0, rows.length)));
  addEventListener("afterprint", show);

  byId("unscripted")?.remove();
  byId("controls").hidden = false;
  show();
})();
