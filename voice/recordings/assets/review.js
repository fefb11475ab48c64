"use strict";

(function review() {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const key = `voice-review-${data.id}`;
  const PAGE = 50; // clips on a page: thousands of rows at once would be slow
  const [list, status, search, order, file] = ["clips", "status", "search", "order", "file"].map(byId);
  const audio = new Audio();
  audio.preload = "none";
  const clips = data.clips.map((base, index) => ({
    base, index, edit: {}, row: null, place: `${base.recording}@${base.start.toFixed(2)}`, // ids change with settings
  }));
  const severalSpeakers = new Set(clips.map((clip) => clip.base.speaker)).size > 1;
  let view = [], start = 0, current = 0, filter = "all", playing = null, waiting = 0;

  // What is decided about a clip: the user's edit {text, use, right, out, was}, or else what the page came with.
  const text = (clip) => clip.edit.text ?? clip.base.text;
  const used = (clip) => clip.edit.use ?? clip.base.use;
  const isChanged = (clip) => ["text", "use", "right"].some((name) => name in clip.edit);
  const isChecked = (clip) => clip.base.source === "edited" || isChanged(clip);
  const isDoubtful = ({ base }) => !base.text || base.remarks.length > 0 || (base.confidence ?? 1) < data.middling;
  const FILTERS = {
    all: () => true,
    check: (clip) => used(clip) && !isChecked(clip) && isDoubtful(clip),
    edited: (clip) => clip.base.source === "edited" || "text" in clip.edit,
    skipped: (clip) => !used(clip),
  };

  // ---- storage

  function load() {
    let stored = {};
    try {
      stored = JSON.parse(localStorage.getItem(key)) || {};
    } catch {
      say("This browser does not keep changes: export them before you leave.");
    }
    for (const clip of clips) {
      const edit = stored[clip.place];
      const isOutdated = edit?.out && edit.was !== was(clip); // exported, and the training knows a later text
      clip.edit = isOutdated ? {} : { ...edit };
      prune(clip);
    }
  }

  const was = ({ base }) => JSON.stringify([base.text, base.use]);

  // Forget what the page came with anyway, as after an import by the training.
  function prune({ base, edit }) {
    if (edit.text === base.text) delete edit.text;
    if (edit.use === base.use) delete edit.use;
    if (base.source === "edited" || "text" in edit) delete edit.right;
  }

  function store() {
    clearTimeout(waiting);
    waiting = 0;
    const edits = clips.filter(isChanged).map((clip) => [clip.place, clip.edit]);
    try {
      if (edits.length) localStorage.setItem(key, JSON.stringify(Object.fromEntries(edits)));
      else localStorage.removeItem(key);
    } catch {
      say("This browser does not keep changes: export them before you leave.");
    }
  }

  function change(clip, values) {
    Object.assign(clip.edit, values, { out: false, was: was(clip) });
    prune(clip);
    if (!waiting) waiting = setTimeout(store, 300); // not at each letter
    show(clip);
    count();
  }

  // ---- list

  function choose(keep = null) {
    const words = search.value.trim().toLowerCase();
    const fits = (clip) => !words || [text(clip), clip.base.clip, clip.base.recording, clip.base.speaker, ...clip.base.remarks]
      .some((part) => part.toLowerCase().includes(words));
    view = clips.filter((clip) => FILTERS[filter](clip) && fits(clip));
    const sure = (clip) => (isChecked(clip) ? 2 : clip.base.confidence ?? (isDoubtful(clip) ? 0 : 1));
    if (order.value === "doubt") view.sort((a, b) => sure(a) - sure(b) || a.index - b.index);
    current = Math.max(0, view.indexOf(keep));
    byId("none").hidden = view.length > 0;
    byId("none").textContent = words ? "No clip has these words." : "No clips here.";
    for (const button of document.querySelectorAll("[data-filter]")) {
      button.setAttribute("aria-pressed", String(button.dataset.filter === filter));
    }
    render();
    count();
  }

  function render() {
    for (const clip of clips) clip.row = null;
    start = Math.floor(current / PAGE) * PAGE;
    list.start = start + 1;
    const shown = view.slice(start, start + PAGE);
    list.replaceChildren(...shown.map(makeRow));
    for (const clip of shown) fit(clip.row.querySelector("textarea"));
    const pages = Math.ceil(view.length / PAGE);
    document.querySelector(".pages").hidden = pages < 2;
    byId("page").textContent = `Page ${start / PAGE + 1} of ${pages}`;
    byId("before").disabled = start === 0;
    byId("after").disabled = start + PAGE >= view.length;
    mark();
  }

  function makeRow(clip) {
    const row = byId("row").content.firstElementChild.cloneNode(true);
    const { base } = clip;
    const part = (selector) => row.querySelector(selector);
    clip.row = row;
    row.clip = clip;
    row.setAttribute("aria-label", base.clip);
    part("textarea").setAttribute("aria-label", `Text of ${base.clip}`);
    part("textarea").placeholder = "What is said?";
    part(".about").textContent = [
      ...(severalSpeakers ? [base.speaker] : []), base.clip, `${base.seconds.toFixed(1)} s`, `${base.recording} at ${clock(base.start)}`,
    ].join(" · ");
    part("del").textContent = base.text;
    part(".remarks").replaceChildren(...base.remarks.map((remark) => {
      const item = document.createElement("li");
      item.textContent = remark;
      return item;
    }));
    show(clip);
    return row;
  }

  function show(clip) {
    const { row } = clip;
    if (!row) return;
    const part = (selector) => row.querySelector(selector);
    const area = part("textarea");
    if (area !== document.activeElement && area.value !== text(clip)) {
      area.value = text(clip);
      if (area.isConnected) fit(area);
    }
    row.classList.toggle("skipped", !used(clip));
    part(".use input").checked = used(clip);
    part(".use input").setAttribute("aria-label", `Use ${clip.base.clip}`);
    part(".right").setAttribute("aria-pressed", String(isChecked(clip) && used(clip)));
    part(".right").disabled = !used(clip) || !text(clip);
    part(".original").hidden = !("text" in clip.edit);
    const { confidence } = clip.base;
    const [kind, words] = FILTERS.edited(clip) ? ["yours", "edited"]
      : clip.edit.right ? ["good", "confirmed"]
      : !text(clip) ? ["bad", "no text"]
      : confidence === null ? ["", clip.base.source === "given" ? "your text" : ""]
      : confidence < data.low ? ["bad", `doubtful, ${confidence.toFixed(2)}`]
      : confidence < data.middling ? ["middling", `unsure, ${confidence.toFixed(2)}`]
      : ["good", `sure, ${confidence.toFixed(2)}`];
    part(".sure").className = `sure ${kind}`;
    part(".sure").textContent = words;
    const isPlaying = playing === clip && !audio.paused;
    row.classList.toggle("playing", isPlaying);
    part(".play").setAttribute("aria-label", `${isPlaying ? "Pause" : "Play"} ${clip.base.clip}`);
  }

  function fit(area) {
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight + 2}px`;
  }

  function clock(seconds) {
    const whole = Math.floor(seconds);
    return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
  }

  function count() {
    const total = clips.filter((clip) => used(clip) || isChecked(clip));
    const checked = total.filter(isChecked).length;
    byId("progress").max = total.length || 1;
    byId("progress").value = checked;
    byId("count").textContent = `${checked} of ${total.length} checked`;
    for (const button of document.querySelectorAll("[data-filter]")) {
      button.querySelector("span").textContent = clips.filter(FILTERS[button.dataset.filter]).length;
    }
    const unsaved = unexported().length;
    byId("unsaved").hidden = !unsaved;
    byId("unsaved").textContent = `${unsaved} ${unsaved === 1 ? "change" : "changes"} not exported`;
  }

  const unexported = () => clips.filter((clip) => isChanged(clip) && !clip.edit.out);

  function say(words) {
    status.textContent = words;
  }

  // ---- the current clip

  function mark() {
    for (const row of list.children) {
      row.classList.toggle("current", row.clip === view[current]);
      row.tabIndex = row.clip === view[current] ? 0 : -1;
    }
  }

  function go(to, { focus = true } = {}) {
    if (to < 0 || to >= view.length) return;
    current = to;
    if (view[current].row) mark();
    else render();
    if (focus) view[current].row.focus();
  }

  // ---- playing

  function play(clip, again = false) {
    const before = playing;
    if (playing !== clip) {
      playing = clip;
      audio.src = `data/wavs/${clip.base.clip.split("/").map(encodeURIComponent).join("/")}.wav`;
    } else if (again) {
      audio.currentTime = 0;
    }
    if (before && before !== clip) show(before);
    audio.play().catch((error) => {
      // An AbortError only means that another clip was started.
      if (error.name !== "AbortError") say(`${clip.base.clip} cannot be played: data/wavs must lie beside this page.`);
    });
  }

  function toggle(clip) {
    if (playing === clip && !audio.paused) audio.pause();
    else play(clip);
  }

  for (const name of ["play", "pause", "ended", "error"]) {
    audio.addEventListener(name, () => playing && show(playing));
  }
  audio.addEventListener("timeupdate", () => {
    if (playing?.row) playing.row.querySelector(".track").style.setProperty("--played", audio.currentTime / (audio.duration || Infinity));
  });

  // ---- decisions

  function edit(clip, words) {
    const found = words.split(/\s+/).filter(Boolean).join(" ");
    change(clip, { text: found, ...(clip.base.text || !found ? {} : { use: true }) }); // without a text it was skipped
  }

  // Without a text there is nothing to learn.
  function leave(area) {
    const { clip } = area.closest(".clip");
    if (!area.value.trim() && clip.base.text) {
      delete clip.edit.text;
      change(clip, { use: false });
      say(`${clip.base.clip} has no text now, and is skipped.`);
    }
    area.value = text(clip);
    fit(area);
    show(clip);
  }

  function confirm(clip) {
    if (clip.edit.right) delete clip.edit.right;
    else if (!isChecked(clip) && text(clip)) clip.edit.right = true;
    change(clip, {});
  }

  // ---- the table

  const HEADER = [...data.columns, "text_before", "use_before"];
  const yes = (use) => (use ? "yes" : "no");
  // As the training marks texts that a spreadsheet program would take for a formula.
  const guard = (words) => (/^'*[=+\-@]/.test(words) ? `'${words}` : words);
  const quote = (cell) => (/[",;\t\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

  function table() {
    const rows = clips.map((clip) => {
      const { base } = clip;
      const source = clip.edit.right || "text" in clip.edit ? "edited" : base.source;
      const values = {
        ...base, source, use: yes(used(clip)), text: guard(text(clip)), speaker: guard(base.speaker), recording: guard(base.recording),
        confidence: base.confidence === null ? "" : base.confidence.toFixed(2), seconds: base.seconds.toFixed(2),
        start: base.start.toFixed(2), remarks: guard(base.remarks.join("; ")), text_before: guard(base.text), use_before: yes(base.use),
      };
      return HEADER.map((name) => values[name]);
    });
    return [HEADER, ...rows].map((row) => row.map(quote).join(",") + "\r\n").join("");
  }

  function exported(words) {
    for (const clip of clips) if (isChanged(clip)) clip.edit.out = true;
    store();
    count();
    say(words);
  }

  function download() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff", table()], { type: "text/csv" }));
    link.download = "review.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    exported("review.csv is in your downloads. Give it to the training: the same command with --review and this file.");
  }

  async function copy() {
    try {
      await navigator.clipboard.writeText(table());
      exported("Copied. Paste it into a file, and give that to the training with --review.");
    } catch {
      byId("text-content").value = table();
      byId("text").showModal();
      byId("text-content").select();
    }
  }

  function parse(content) {
    const header = content.slice(0, content.search(/[\r\n]|$/));
    const separator = [",", ";", "\t"].reduce((a, b) => (header.split(b).length > header.split(a).length ? b : a));
    const rows = [[""]];
    let quoted = false;
    for (let i = 0; i < content.length; i++) {
      const letter = content[i], row = rows[rows.length - 1];
      if (quoted) {
        if (letter !== '"') row[row.length - 1] += letter;
        else if (content[i + 1] === '"') row[row.length - 1] += content[i++];
        else quoted = false;
      } else if (letter === '"' && !row[row.length - 1]) quoted = true;
      else if (letter === separator) row.push("");
      else if (letter === "\n") rows.push([""]);
      else if (letter !== "\r") row[row.length - 1] += letter;
    }
    const names = rows.shift().map((name) => name.replace("\ufeff", "").trim().toLowerCase());
    return rows.filter((row) => row.some(Boolean)).map((row) => Object.fromEntries(names.map((name, i) => [name, row[i] ?? ""])));
  }

  function take(rows) {
    const known = new Map(clips.map((clip) => [clip.base.clip, clip]));
    const clean = (words) => words.split(/\s+/).filter(Boolean).join(" ").replace(/^'(?='*[=+\-@])/, "");
    const before = clips.filter(isChanged).length;
    let unknown = 0;
    for (const row of rows) {
      const clip = known.get(row.clip);
      if (!clip) {
        unknown += 1;
        continue;
      }
      const words = clean(row.text), use = row.use?.trim().toLowerCase();
      if (words && words !== clean(row.text_before ?? clip.base.text)) change(clip, { text: words });
      else if (row.source === "edited" && !isChecked(clip)) change(clip, { right: true });
      if (use && use !== (row.use_before ?? yes(clip.base.use))) change(clip, { use: !["no", "n", "false", "0", "x", "skip"].includes(use) });
    }
    store();
    choose(view[current]);
    const found = clips.filter(isChanged).length - before;
    say(`Imported ${found} changed clips${unknown ? `; ${unknown} rows are of other clips` : ""}.`);
  }

  // ---- events

  const clipOf = (event) => event.target.closest(".clip")?.clip;

  list.addEventListener("click", (event) => {
    const clip = clipOf(event);
    if (!clip) return;
    const inside = (selector) => event.target.closest(selector);
    go(view.indexOf(clip), { focus: !inside("textarea, button, label") });
    if (inside(".play")) toggle(clip);
    if (inside(".right")) confirm(clip);
    if (inside(".undo")) {
      delete clip.edit.text;
      change(clip, {});
      clip.row.focus();
    }
    const track = inside(".track");
    if (track) {
      const box = track.getBoundingClientRect(), share = (event.clientX - box.left) / box.width;
      play(clip);
      if (audio.duration) audio.currentTime = share * audio.duration;
      else audio.addEventListener("loadedmetadata", () => { audio.currentTime = share * audio.duration; }, { once: true });
    }
  });
  list.addEventListener("change", (event) => {
    if (event.target.type === "checkbox") change(clipOf(event), { use: event.target.checked });
  });
  list.addEventListener("input", (event) => {
    if (event.target.type !== "textarea") return;
    edit(clipOf(event), event.target.value);
    fit(event.target);
  });
  list.addEventListener("focusin", (event) => {
    const clip = clipOf(event);
    if (clip && clip !== view[current]) go(view.indexOf(clip), { focus: false });
  });
  list.addEventListener("focusout", (event) => { if (event.target.type === "textarea") leave(event.target); });

  const KEYS = {
    " ": (clip) => toggle(clip), Enter: (clip) => toggle(clip), r: (clip) => play(clip, true),
    j: () => go(current + 1), ArrowDown: () => go(current + 1), k: () => go(current - 1), ArrowUp: () => go(current - 1),
    x: (clip) => change(clip, { use: !used(clip) }),
    e: (clip) => {
      const area = clip.row.querySelector("textarea");
      area.focus();
      area.setSelectionRange(area.value.length, area.value.length);
    },
    c: (clip) => {
      if (!isChecked(clip)) confirm(clip);
      if (current + 1 >= view.length) return;
      go(current + 1);
      play(view[current], true);
    },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector("dialog[open]")) return;
    const { target, key: pressed } = event;
    if (target.type === "textarea") {
      if (pressed !== "Escape" && pressed !== "Enter") return;
      event.preventDefault();
      target.closest(".clip").focus();
    } else if (target === search || target === order) {
      if (pressed === "Escape" && target === order) target.blur();
    } else if (pressed === "?") {
      byId("keys").showModal();
    } else if (pressed === "/") {
      event.preventDefault();
      search.focus();
    } else if (view.length && KEYS[pressed] && !((pressed === " " || pressed === "Enter") && target.closest("button, a, input"))) {
      event.preventDefault();
      if (!view[current].row) render();
      if (!view[current].row.contains(document.activeElement)) view[current].row.focus();
      KEYS[pressed](view[current]);
    }
  });

  for (const button of document.querySelectorAll("[data-filter]")) {
    button.addEventListener("click", () => {
      filter = button.dataset.filter;
      choose(view[current]);
    });
  }
  order.addEventListener("change", () => choose());
  let searching = 0;
  search.addEventListener("input", () => {
    clearTimeout(searching);
    searching = setTimeout(choose, 150);
  });
  const turn = (to) => {
    go(to, { focus: true });
    scrollTo({ top: 0 });
  };
  byId("before").addEventListener("click", () => turn(start - PAGE));
  byId("after").addEventListener("click", () => turn(start + PAGE));
  byId("export").addEventListener("click", download);
  byId("copy").addEventListener("click", copy);
  byId("text").addEventListener("close", () => exported("Save the text as a file, and give that to the training with --review."));
  byId("import").addEventListener("click", () => file.click());
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    file.value = "";
    if (!chosen) return;
    const rows = parse(await chosen.text());
    if (rows.length && "clip" in rows[0] && "text" in rows[0]) take(rows);
    else say(`${chosen.name} is not a table with the columns clip and text.`);
  });
  byId("keys-button").addEventListener("click", () => byId("keys").showModal());
  addEventListener("resize", () => { for (const row of list.children) fit(row.querySelector("textarea")); });
  addEventListener("pagehide", () => { if (waiting) store(); });
  addEventListener("beforeunload", (event) => {
    if (waiting) store();
    if (!unexported().length) return;
    event.preventDefault();
    event.returnValue = ""; // for older browsers
  });
  addEventListener("storage", (event) => { // another tab
    if (event.key !== key) return;
    load();
    clips.forEach(show);
    count();
  });

  load();
  if (clips.some(FILTERS.check)) filter = "check";
  choose();
})();
