//! Whole screens.

use std::sync::Arc;
use std::time::SystemTime;

use dovetail_core::event::AbortReason;
use dovetail_core::ids::{PluginId, TurnId};
use serde_json::json;

use super::*;

const THREAD: &str = "01a1fb58-2811-7ea0-9e27-e6be064a83e5";

/// Feeds events; the answer is shown among the rest, as on a terminal.
#[track_caller]
fn check(style: Style, events: Vec<TurnEvent>, expected: &str) {
    assert_eq!(
        transcript(style, Reader::Person, events).join("|"),
        format!("{expected}|")
    );
}

/// What goes to standard error and to standard output; all to the former where a person reads both.
fn transcript(style: Style, reader: Reader, events: Vec<TurnEvent>) -> [String; 2] {
    let thread_id = ThreadId::parse(THREAD).expect("an id");
    let (out, answer) = (Shared::default(), Shared::default());
    let answer_to = if reader == Reader::Person {
        out.clone()
    } else {
        answer.clone()
    };
    let look = Look {
        style,
        reader,
        cwd: "/p".into(),
        thinking: Thinking::Summaries,
    };
    let mut transcript = Transcript::new(out.clone(), answer_to, &look);
    for event in &events {
        transcript.observe(thread_id, event);
    }
    [out.text(), answer.text()]
}

#[derive(Clone, Default)]
struct Shared(Arc<std::sync::Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text")
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn item(value: Value) -> TurnEvent {
    let item: ResponseItem = serde_json::from_value(value).expect("an item");
    TurnEvent::ItemRecorded {
        turn_id: TurnId::generate(),
        item: Arc::new(item),
    }
}

fn said(text: &str) -> TurnEvent {
    item(
        json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}),
    )
}

fn finish(call: &str, activity: ToolActivity, micros: u64) -> TurnEvent {
    TurnEvent::ToolFinished {
        call_id: CallId::new(call),
        activity,
        duration: Duration::from_micros(micros),
    }
}

fn ran(script: &str, exit_code: i32) -> TurnEvent {
    let activity = ToolActivity::Command {
        command: ["/bin/bash", "-lc", script].map(str::to_owned).to_vec(),
        cwd: "/p".into(),
        process_id: None,
        output: String::new(),
        exit_code: Some(exit_code),
        status: if exit_code == 0 {
            ActivityStatus::Completed
        } else {
            ActivityStatus::Failed
        },
    };
    finish("c", activity, 12_000)
}

fn declined() -> ToolActivity {
    ToolActivity::Command {
        command: ["/bin/bash", "-lc", "rm -rf build"]
            .map(str::to_owned)
            .to_vec(),
        cwd: "/p".into(),
        process_id: None,
        output: String::new(),
        exit_code: None,
        status: ActivityStatus::Declined,
    }
}

fn called(call: &str, tool: &str, success: bool, output: &str) -> TurnEvent {
    TurnEvent::ToolCalled {
        call_id: CallId::new(call),
        tool: tool.into(),
        success,
        duration: Duration::ZERO,
        output: output.into(),
    }
}

fn hook(result: HookResult, subject: &str) -> TurnEvent {
    TurnEvent::HookRan(HookRun {
        plugin: PluginId::parse("no-rm").expect("an id"),
        event: "PreToolUse",
        subject: subject.into(),
        result,
        message: None,
        duration: Duration::from_micros(52),
    })
}

fn edit(path: &str, kind: FileChangeKind, diff: &str) -> TurnEvent {
    let change = FileChange {
        path: path.into(),
        kind,
        diff: diff.into(),
        moved_to: None,
    };
    finish(
        "p",
        ToolActivity::Patch {
            changes: vec![change],
            status: ActivityStatus::Completed,
        },
        1,
    )
}

fn completed(answer: &str) -> TurnEvent {
    TurnEvent::TurnCompleted {
        turn_id: TurnId::generate(),
        last_message: Some(answer.into()),
        started: SystemTime::now(),
        duration: Duration::ZERO,
        time_to_first_token: None,
        thread_total: TokenUsage {
            input_tokens: 12_300,
            cached_input_tokens: 170,
            output_tokens: 35,
            total_tokens: 12_335,
            ..TokenUsage::default()
        },
    }
}

#[test]
fn the_demo() {
    let search = ToolActivity::Server {
        server: "notes".into(),
        tool: "search".into(),
        arguments: json!({"query": "greeting"}),
        result: Some(json!({"content": []})),
        error: None,
        status: ActivityStatus::Completed,
    };
    check(
        Style::Plain,
        vec![
            said("I'll look at the test first."),
            ran("sh test.sh", 1),
            called("c", "exec_command", true, "…"),
            hook(
                HookResult::Denied("destructive commands need a person".into()),
                "rm -rf build",
            ),
            finish("d", declined(), 1),
            called("d", "exec_command", false, "denied"),
            finish("s", search, 300),
            edit(
                "/p/greet.sh",
                FileChangeKind::Update,
                "--- a\n+++ b\n@@ -1 +1 @@\n-echo hello world\n+echo hello, world\n",
            ),
            ran("sh test.sh", 0),
            said("Fixed: the greeting was missing a comma."),
            completed("Fixed: the greeting was missing a comma."),
        ],
        "\
• I'll look at the test first.
  ran   sh test.sh                          exit 1   12 ms
  deny  rm -rf build   hook `no-rm`: \"destructive commands need a person\"
  tool  notes.search(\"greeting\")            300 µs
  edit  greet.sh                            +1 −1
  ran   sh test.sh                          exit 0   12 ms
• Fixed: the greeting was missing a comma.
tokens used 12,335 (in 12,300, of it cached 170; out 35)
",
    );
}

#[test]
fn other_things_that_happen() {
    let plan = ToolActivity::Plan {
        explanation: None,
        steps: [
            ("look", "completed"),
            ("fix", "in_progress"),
            ("test", "pending"),
        ]
        .map(|(step, status)| PlanStep {
            step: step.into(),
            status: status.into(),
        })
        .to_vec(),
    };
    let broken = ToolActivity::Server {
        server: "notes".into(),
        tool: "add".into(),
        arguments: json!({"a": 1, "b": [2]}),
        result: None,
        error: Some("plugin `notes` trapped in `call-tool`: unreachable executed".into()),
        status: ActivityStatus::Failed,
    };
    let (started, duration) = (SystemTime::now(), Duration::ZERO);
    let turn_id = TurnId::generate();
    check(
        Style::Plain,
        vec![
            item(json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "**Looking around**\n\nLong."}]})),
            item(json!({"type": "web_search_call", "id": "ws", "action": {"type": "search", "query": "weather"}})),
            finish("1", plan, 1),
            finish("2", broken, 1),
            finish("3", ToolActivity::Image { path: "/elsewhere/x.png".into() }, 1),
            edit("/p/new.txt", FileChangeKind::Add, "+one\n+two\n"),
            edit("/p/old.txt", FileChangeKind::Delete, "-one\n"),
            called("4", "frobnicate", false, "unsupported call: frobnicate"),
            hook(HookResult::Rewrote, "git push --force"),
            hook(HookResult::Denied("a long reason that nobody could fit into what is left of a line\nso it has its own".into()), "cat x"),
            called("5", "exec_command", false, "denied"),
            hook(HookResult::Failed { why: "it trapped".into(), closed: true }, "ls"),
            called("5", "exec_command", false, "denied"),
            hook(HookResult::Failed { why: "no answer in 1 s".into(), closed: false }, "ls"),
            TurnEvent::Reconnecting { attempt: 1, max: 5, reason: "connection reset".into(), delay: Duration::from_millis(210) },
            TurnEvent::Warning { message: "the server answered with another model".into() },
            said("Two\nlines."),
            TurnEvent::TurnFailed { turn_id, message: "Quota exceeded.".into(), started, duration },
            TurnEvent::TurnAborted { turn_id, reason: AbortReason::Interrupted, started, duration },
        ],
        "\x20 think Looking around
  web   weather
  plan
        ✓ look
        › fix
        · test
  tool  notes.add({\"a\":1,\"b\":[2]})   failed: plugin `notes` trapped in `call-to…
  view  /elsewhere/x.png
  edit  new.txt                             +2   new
  edit  old.txt                             −1   removed
  fail  frobnicate                          unsupported call: frobnicate
  hook  git push --force                    rewritten by `no-rm`
  deny  cat x                               hook `no-rm`
        \"a long reason that nobody could fit into what is left of a line
        so it has its own\"
  deny  ls                                  hook `no-rm`: failed: it trapped
warning: hook `no-rm` failed and was passed over: no answer in 1 s
Reconnecting... 1/5 (connection reset), in 210 ms
warning: the server answered with another model
• Two
  lines.
error: Quota exceeded.
interrupted
",
    );
}

#[test]
fn nothing_that_a_model_says_drives_the_terminal() {
    check(
        Style::Plain,
        vec![
            said("\u{1b}[2Jgone"),
            ran("printf '\u{1b}]0;x\u{7}'\nsecond", 0),
        ],
        "• \\x1b[2Jgone\n  ran   printf '\\x1b]0;x\\x07'…              exit 0   12 ms\n",
    );
    check(
        Style::Plain,
        vec![completed("\u{1b}[2J")],
        "• \\x1b[2J\ntokens used 12,335 (in 12,300, of it cached 170; out 35)\n",
    );
}

#[test]
fn a_program_gets_the_answer_alone_and_as_it_is() {
    let events = vec![
        said("I will look."),
        said("\u{1b}[1mdone\u{1b}[0m"),
        completed("\u{1b}[1mdone\u{1b}[0m"),
    ];
    let [seen, answer] = transcript(Style::Plain, Reader::Program, events);
    assert_eq!(answer, "\u{1b}[1mdone\u{1b}[0m\n");
    assert_eq!(
        seen,
        "• I will look.\ntokens used 12,335 (in 12,300, of it cached 170; out 35)\n"
    );
}

#[test]
fn colours_are_only_added() {
    check(
        Style::Coloured,
        vec![ran("ls", 0)],
        "  \u{1b}[32mran  \u{1b}[0m ls                                  \u{1b}[2mexit 0   12 ms\u{1b}[0m\n",
    );
}

#[test]
fn the_frame_around_a_turn() {
    let banner = Banner {
        version: "0.1.0",
        workdir: Path::new("/home/user/proj"),
        model: "gpt-5.5",
        effort: Some("high"),
        provider: "openai",
        sandbox: "read-only",
        network: false,
        approvals: "never",
        thread_id: ThreadId::parse(THREAD).expect("an id"),
        origin: "resumed",
    };
    let text = banner.text(Style::Plain)
        + &warning(Style::Plain, "a plugin was refused")
        + &prompt(Style::Plain, "fix it\nplease\n", [Path::new("a.png")])
        + &farewell(Style::Plain, banner.thread_id, true);
    assert_eq!(
        text,
        "\
dovetail 0.1.0
  workdir   /home/user/proj
  model     gpt-5.5 (high) · openai
  sandbox   read-only, network off · approvals never
  thread    01a1fb58-2811-7ea0-9e27-e6be064a83e5 (resumed)

warning: a plugin was refused
› fix it
  please
  image a.png
to go on: dovetail exec resume 01a1fb58-2811-7ea0-9e27-e6be064a83e5 \"…\"
"
    );
}
