"use strict";

// Only one player plays at a time.
document.addEventListener("play", (event) => {
  for (const audio of document.querySelectorAll("audio")) {
    if (audio !== event.target) audio.pause();
  }
}, true);

// The pitch of the version that plays stands out from the others.
for (const audio of document.querySelectorAll("article audio")) {
  const axis = audio.closest("article").querySelector(".axis");
  const line = axis && axis.querySelector(`path.${audio.dataset.colour}`);
  if (!line) continue;
  for (const name of ["playing", "pause", "ended"]) {
    audio.addEventListener(name, () => {
      line.classList.toggle("playing", !audio.paused);
      axis.classList.toggle("playing", Boolean(axis.querySelector(".playing")));
    });
  }
}

// On a narrow screen, pictures would push the players apart.
if (matchMedia("(max-width: 40rem)").matches) {
  for (const details of document.querySelectorAll("details.pictures")) details.open = false;
}

(function blindTest() {
  const byId = (id) => document.getElementById(`blind-${id}`);
  if (!byId("form")) return; // there is only one system
  const data = JSON.parse(document.getElementById("data").textContent);
  const key = `listening-report-${data.report}`;
  const [one, other, trial, status, stored] = ["one", "other", "trial", "status", "stored"].map(byId);
  const player = new Audio();
  let sessions = load(); // [{one, other, started, answers: [{clip, first, second, answer, plays, seconds, at}]}]
  let session = null;
  let waiting = []; // [{clip, audio: [first, second], systems: [first, second]}]
  let plays = [0, 0];
  let began = 0;

  function load() {
    try {
      return JSON.parse(localStorage.getItem(key)) || [];
    } catch {
      return []; // the browser has no storage, or something else is stored under this key
    }
  }

  function countAnswers() {
    return sessions.reduce((sum, done) => sum + done.answers.length, 0);
  }

  function store() {
    stored.hidden = !countAnswers();
    try {
      localStorage.setItem(key, JSON.stringify(sessions));
    } catch {
      status.textContent += "\nThis browser does not store answers: export them before you leave.";
    }
  }

  function shuffled(items) {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i--) {
      const j = Math.floor(Math.random() * (i + 1));
      [result[i], result[j]] = [result[j], result[i]];
    }
    return result;
  }

  function start(event) {
    event.preventDefault();
    if (one.value === other.value) {
      status.textContent = "Choose two different systems.";
      return;
    }
    const both = data.clips.filter((clip) => clip.audio[one.value] && clip.audio[other.value]);
    waiting = shuffled(both).map((clip) => {
      const systems = Math.random() < 0.5 ? [one.value, other.value] : [other.value, one.value];
      return { clip: clip.clip, systems, audio: systems.map((name) => clip.audio[name]) };
    });
    session = { one: one.value, other: other.value, started: new Date().toISOString(), answers: [] };
    sessions.push(session);
    next();
    byId("play-first").focus();
  }

  function next() {
    player.pause();
    plays = [0, 0];
    began = Date.now();
    trial.hidden = !waiting.length;
    if (waiting.length) {
      const total = session.answers.length + waiting.length;
      status.textContent = `Clip ${session.answers.length + 1} of ${total}`;
      enable();
    } else {
      status.textContent = `Done. ${summary(session)}`;
    }
    store();
  }

  function summary(done) {
    const count = (system) => done.answers.filter((answer) => answer[answer.answer] === system).length;
    const same = done.answers.filter((answer) => answer.answer === "same").length;
    return `${done.one} better: ${count(done.one)}, ${done.other} better: ${count(done.other)}, no difference: ${same}.`;
  }

  // Answers are accepted only after both versions have been played.
  function enable() {
    const heard = plays[0] > 0 && plays[1] > 0;
    for (const button of trial.querySelectorAll("[data-answer]")) button.disabled = !heard;
  }

  function play(side) {
    plays[side] += 1;
    for (const audio of document.querySelectorAll("audio")) audio.pause();
    player.src = waiting[0].audio[side];
    player.play().catch((error) => {
      // An AbortError only means that the other version was started.
      if (error.name !== "AbortError") status.textContent = `Playback failed: ${error.message}`;
    });
    mark(side);
    enable();
  }

  function mark(side) {
    byId("play-first").classList.toggle("playing", side === 0);
    byId("play-second").classList.toggle("playing", side === 1);
  }
  for (const name of ["pause", "ended"]) player.addEventListener(name, () => { if (player.paused) mark(-1); });
  document.addEventListener("play", () => player.pause(), true);

  function answer(choice) {
    const { clip, systems } = waiting.shift();
    const seconds = (Date.now() - began) / 1000;
    const [first, second] = systems;
    session.answers.push({ clip, first, second, answer: choice, plays, seconds, at: new Date().toISOString() });
    next();
    if (waiting.length) byId("play-first").focus();
  }

  function exportAnswers() {
    const content = JSON.stringify({ report: data.report, sessions }, null, 1);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type: "application/json" }));
    link.download = `${key}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  byId("form").addEventListener("submit", start);
  byId("play-first").addEventListener("click", () => play(0));
  byId("play-second").addEventListener("click", () => play(1));
  for (const button of trial.querySelectorAll("[data-answer]")) {
    button.addEventListener("click", () => answer(button.dataset.answer));
  }
  byId("export").addEventListener("click", exportAnswers);
  byId("clear").addEventListener("click", () => {
    player.pause();
    sessions = [];
    session = null;
    waiting = [];
    trial.hidden = true;
    store();
    status.textContent = "All answers have been deleted.";
    one.focus(); // the button is hidden now
  });
  document.addEventListener("keydown", (event) => {
    if (trial.hidden || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, input")) return;
    const buttons = { 1: byId("play-first"), 2: byId("play-second") };
    for (const button of trial.querySelectorAll("[data-answer]")) {
      buttons[button.dataset.answer === "same" ? "n" : button.dataset.answer[0]] = button;
    }
    const button = buttons[event.key.toLowerCase()];
    if (button && !button.disabled) button.click();
  });

  const answers = countAnswers();
  stored.hidden = !answers;
  if (answers) status.textContent = `${answers} answers from earlier visits are stored here.`;
})();
