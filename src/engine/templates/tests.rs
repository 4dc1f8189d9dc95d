//! What templates become, and what they may not take.

use super::*;
use serde_json::json;

fn scope() -> Value {
    json!({
        "inputs": {"x": 7, "name": "Ada"}, "proposal": "less is more", "context": {"list": [1, 2]},
        "nodes": {"a": {"output": {"y": {"z": true}}}},
    })
}

fn filled(template: Value) -> Result<Value, TemplateError> {
    fill(&template, &scope(), &TemplateBudget::default())
}

#[test]
fn a_lone_expression_keeps_its_type_and_a_text_stays_a_text() {
    let cases = [
        (json!("{{inputs.x}}"), json!(7)),
        (json!(" {{ inputs.x + 1 }} "), json!(8)),
        (json!("{{nodes.a.output.y}}"), json!({"z": true})),
        (json!("x is {{inputs.x}}"), json!("x is 7")),
        (json!("{{inputs.x}}{{inputs.x}}"), json!("77")),
        (json!("{{context.list}}!"), json!("[1,2]!")),
        (json!("{{proposal}} <b>"), json!("less is more <b>")),
        (json!("no template"), json!("no template")),
        (json!({"k": ["{{inputs.name}}", 1]}), json!({"k": ["Ada", 1]})),
        (json!("{{ inputs.other | default('none') }}"), json!("none")),
        (json!("{% if inputs.x > 3 %}many{% endif %}"), json!("many")),
    ];
    for (template, expected) in cases {
        assert_eq!(filled(template.clone()), Ok(expected), "{template}");
    }
}

#[test]
fn what_is_missing_is_named() {
    for text in
        ["{{inputs.other}}", "so: {{inputs.other}}", "{{ inputs.other.deeper }}", "{{inputs.x}}{{inputs.other}}"]
    {
        let Err(TemplateError::Missing(path)) = filled(json!(text)) else { panic!("{text}") };
        assert!(path.starts_with("inputs.other"), "{text}: {path}");
    }
    assert_eq!(filled(json!("{{nowhere}}")), Err(TemplateError::Missing("nowhere".into())));
}

#[test]
fn what_cannot_be_read_is_found_before_anything_runs() {
    for text in ["{{", "{{ 1 + }}", "{% if %}", "a {{ b", "{{ a }} {% endfor %}"] {
        assert!(matches!(check(&json!([text])), Err(TemplateError::Syntax(_))), "{text}");
    }
    assert_eq!(check(&json!({"a": [1, "{{ fine }}"]})), Ok(()));
}

#[test]
fn the_nodes_a_template_reads_are_known_beforehand() {
    let found = |text| References::of(&json!(text)).expect("a template").nodes();
    assert_eq!(found("{{nodes.a.output.y}} {{inputs.x}} {{nodes.b}}"), Some(["a".into(), "b".into()].into()));
    assert_eq!(found("{{ nodes['x-y'].output }}"), Some(["x-y".into()].into()));
    assert_eq!(found("{{ nodes[inputs.x].output }}"), None, "it may be any");
    assert_eq!(found("{{inputs.x}}"), Some(BTreeSet::new()));
    let own = "{{ nodes.b.output }}{% for nodes in [1] %}{{ nodes }}{% endfor %}";
    assert_eq!(found(own), None, "a name of its own, and not everywhere");
    assert_eq!(found("{% set x = nodes.a %}{{ x.output }}"), Some(["a".into()].into()));
}

#[test]
fn no_template_runs_for_ever_or_grows_without_bound() {
    let endless = "{% for a in range(99999) %}{% for b in range(99999) %}{{ a }}{% endfor %}{% endfor %}";
    assert!(matches!(filled(json!(endless)), Err(TemplateError::Failed(_))));
    let scope = json!({"inputs": {"long": "x".repeat(600_000)}});
    let doubled = fill(&json!("{{inputs.long}} {{inputs.long}}"), &scope, &TemplateBudget::default());
    assert!(matches!(doubled, Err(TemplateError::Failed(_))), "not bounded");
}

#[test]
fn a_missing_value_is_undefined_however_far_down() {
    for (text, expected) in [
        ("{{ nodes.a.output.none.at.all | default(0) }}", json!(0)),
        ("{{ nodes.none.output.y | default('n') }}", json!("n")),
        ("{{ inputs['no']['thing'][3] | default(0) }}", json!(0)),
        ("{{ nodes.none.output.y is defined }}", json!(false)),
        ("{{ nodes.a.output.y is defined }}", json!(true)),
        ("{% if nodes.none is defined %}a{% else %}b{% endif %}", json!("b")),
    ] {
        assert_eq!(filled(json!(text)), Ok(expected), "{text}");
    }
    for text in ["{{ nodes.none.output.y }}", "x {{ nodes.none.output.y }}", "{{ nodes.none.output.y ~ 'x' }}"] {
        assert_eq!(filled(json!(text)), Err(TemplateError::Missing("nodes.none.output.y".into())), "{text}");
    }
    assert!(filled(json!("{{ inputs.other + 1 }}")).is_err() && filled(json!("{{ inputs.other[1:] }}")).is_err());
}

#[test]
fn urlencode_makes_one_value_of_an_address() {
    let scope = json!({"inputs": {"q": "a&b#c d", "map": {"a b": "c&d", "n": 1}, "letters": "aZ09-._~ü/+%"}});
    let encoded = |text: &str| fill(&json!(text), &scope, &TemplateBudget::default()).expect("a value");
    assert_eq!(encoded("http://x/?q={{ inputs.q | urlencode }}"), json!("http://x/?q=a%26b%23c%20d"));
    assert_eq!(encoded("{{ inputs.map | urlencode }}"), json!("a%20b=c%26d&n=1"));
    assert_eq!(encoded("{{ inputs.letters | urlencode }}"), json!("aZ09-._~%C3%BC%2F%2B%25"));
    assert_eq!(encoded("{{ 7 | urlencode }}"), json!("7"));
}

#[test]
fn operators_filters_and_blocks_do_what_they_did() {
    for (text, expected) in [
        ("{{ 'a' ~ 1 ~ [2] }}", json!("a1[2]")),
        ("{{ 'a' + 'b' }}", json!("ab")),
        ("{{ [1] + [2, 3] }}", json!([1, 2, 3])),
        ("{{ 1 + 1.5 }}", json!(2.5)),
        ("{{ 7 - 2 * 3 }}", json!(1)),
        ("{{ 'ab' * 3 }}", json!("ababab")),
        ("{{ 2*3 * 4 }}", json!(24)),
        ("{{ 2 * 1.5 }}", json!(3.0)),
        ("{{ 2 ** 3 * inputs.x }}", json!(56)),
        ("{{ 2 * [1, 2] }}", json!([1, 2, 1, 2])),
        ("{{ 'Hello'[1:3] }}", json!("el")),
        ("{{ 'Hello'[::-1] }}", json!("olleH")),
        ("{{ 'Hello'[-3:] }}", json!("llo")),
        ("{{ [1, 2, 3, 4][1::2] }}", json!([2, 4])),
        ("{{ [1, 2, 3, 4][-2::-1] }}", json!([3, 2, 1])),
        ("{{ 1 < 2 < 3 and 2 in [1, 2] and 'a' not in 'xyz' }}", json!(true)),
        ("{{ {'a': [1, {'b': 2}]}.a[1].b }}", json!(2)),
        ("{{ [3, 1, 2] | sort | join(', ') }}", json!("1, 2, 3")),
        ("{{ [1, 2, 3, 4] | select('even') | list }}", json!([2, 4])),
        ("{{ ['a', 'b'] | map('upper') | join }}", json!("AB")),
        ("{{ [1, 2, 3] | sum }}", json!(6)),
        ("{{ 'a-b-c' | replace('-', '+') }}", json!("a+b+c")),
        ("{{ 'a\nb' | indent(2) }}", json!("a\n  b")),
        ("{{ '%s is %d' | format('x', 7) }}", json!("x is 7")),
        ("{{ [1, 2, 3] | batch(2, 0) | list }}", json!([[1, 2], [3, 0]])),
        ("{{ {'a': 1} | tojson }}", json!("{\"a\": 1}")),
        ("{{ range(3) | list }}", json!([0, 1, 2])),
        ("{{ 'a b' | split(' ') }}", json!(["a", "b"])),
        ("{{ dict(a=1).a }}", json!(1)),
        (
            "{% for x in context.list %}{{ loop.index }}:{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}",
            json!("1:1, 2:2"),
        ),
        ("{% for x in range(9) if x is odd %}{{ x }}{% else %}none{% endfor %}", json!("1357")),
        ("{% set x %}a{{ inputs.x }}{% endset %}{{ x ~ x }}", json!("a7a7")),
        ("{% filter upper %}a{{ inputs.name }}{% endfilter %}", json!("AADA")),
        (
            "{% set ns = namespace(n=0) %}{% for x in range(4) %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}",
            json!("6"),
        ),
        ("{% if inputs.x > 9 %}a{% elif inputs.x == 7 %}b{% else %}c{% endif %}", json!("b")),
        ("{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}", json!("3")),
        ("{{ inputs.x if inputs.x else 'none' }}", json!(7)),
        (
            "{% for x in [1, [2, [3]]] recursive %}{% if x is number %}{{ x }}{% else %}{{ loop(x) }}{% endif %}{% endfor %}",
            json!("123"),
        ),
        ("{% raw %}{{ x }}{% endraw %}{{ 1 }}", json!("{{ x }}1")),
        ("{# no #}{{ inputs.name }}", json!("Ada")),
    ] {
        assert_eq!(filled(json!(text)), Ok(expected), "{text}");
    }
}

/// Texts of `count` parts, each of which makes the parser, or what comes after it, go one level down.
fn deep(count: usize) -> Vec<(&'static str, String)> {
    let times = |text: &str| text.repeat(count);
    let wrapped =
        |before: &str, inside: &str, after: &str| format!("{{{{ {}{inside}{} }}}}", times(before), times(after));
    vec![
        ("minus", wrapped("-", "1", "")),
        ("minus and space", wrapped("- ", "1", "")),
        ("not", wrapped("not ", "1", "")),
        ("sum", wrapped("1+", "1", "")),
        ("product", wrapped("1*", "1", "")),
        ("power", wrapped("1**", "1", "")),
        ("division", wrapped("1//", "1", "")),
        ("concat", wrapped("1~", "1", "")),
        ("and", wrapped("1 and ", "1", "")),
        ("or", wrapped("0 or ", "1", "")),
        ("less", wrapped("1<", "1", "")),
        ("equal", wrapped("1==", "1", "")),
        ("in", wrapped("1 in ", "[1]", "")),
        ("not in", wrapped("1 not in ", "[1]", "")),
        ("is", wrapped("", "1", " is defined")),
        ("is not", wrapped("", "1", " is not defined")),
        ("attributes", wrapped("", "inputs", ".a")),
        ("items", wrapped("", "inputs", "[0]")),
        ("slices", wrapped("", "inputs", "[1:]")),
        ("calls", wrapped("", "inputs", "()")),
        ("methods", wrapped("", "inputs", ".a()")),
        ("filters", wrapped("", "'a'", "|upper")),
        ("filters with arguments", wrapped("", "'a'", "|default('b')")),
        ("parentheses", wrapped("(", "1", ")")),
        ("lists", wrapped("[", "1", "]")),
        ("maps", wrapped("{'a':", "1", "}")),
        ("tuples", wrapped("(1,", "1", ")")),
        ("arguments", wrapped("range(", "1", ")")),
        ("subscripts", wrapped("a[", "1", "]")),
        ("if else", wrapped("1 if 0 else ", "1", "")),
        ("if if", wrapped("", "1", " if 1")),
        ("texts", wrapped("'a' ", "'a'", "")),
        ("elif", format!("{{% if 0 %}}{}{{% endif %}}", times("{% elif 0 %}"))),
        ("if", format!("{}{}", times("{% if 1 %}"), times("{% endif %}"))),
        ("else if", format!("{}{}", times("{% if 0 %}{% else %}"), times("{% endif %}"))),
        ("for", format!("{}{}", times("{% for a in [1] %}"), times("{% endfor %}"))),
        ("with", format!("{}{}", times("{% with a = 1 %}"), times("{% endwith %}"))),
        ("filter blocks", format!("{}{}", times("{% filter upper %}"), times("{% endfilter %}"))),
        ("filter chains", format!("{{% filter upper{} %}}{{% endfilter %}}", times("|upper"))),
        ("set blocks", format!("{}{}", times("{% set a %}"), times("{% endset %}"))),
        ("autoescape", format!("{}{}", times("{% autoescape false %}"), times("{% endautoescape %}"))),
        ("macros", format!("{}{}", times("{% macro a() %}"), times("{% endmacro %}"))),
        ("call blocks", format!("{}{}", times("{% call a() %}"), times("{% endcall %}"))),
        ("blocks", format!("{}{}", times("{% block a %}"), times("{% endblock %}"))),
        ("set", format!("{{% set a = 1 %}}{}{{{{ a }}}}", times("{% set a = [a] %}"))),
        ("set unpacking", format!("{{% set {}a{} = 1 %}}", times("("), times(")"))),
        ("for targets", format!("{{% for {}a{} in [1] %}}{{% endfor %}}", times("("), times(",)"))),
        ("do", times("{% do range(1) %}")),
        ("comments", times("{# #}") + "{{ 1 }}"),
        ("emits", times("{{ 1 }}")),
        ("open", times("{{ ")),
        ("open blocks", times("{% ")),
        ("raw", times("{% raw %}")),
        ("unclosed", format!("{{{{ {}", times("("))),
        ("quotes", format!("{{{{ {} }}}}", times("'"))),
    ]
}

#[test]
fn no_template_overflows_a_stack_however_many_parts_it_has() {
    let near = compile::TOKENS;
    for count in [8, 140, near / 12, near / 8, near / 6, near / 4, near / 3, near / 2 - 4, near - 4, 20_000] {
        for (name, text) in deep(count) {
            // Accepted or refused, it must not crash.
            let value = json!([text]);
            let checked = check(&value);
            if count == 20_000 && name != "comments" && name != "raw" {
                assert!(checked.is_err(), "{count} × {name} was taken");
            }
            if let Err(error) = fill(&value, &scope(), &TemplateBudget::default()) {
                assert!(error.to_string().len() < 1_000, "{count} × {name}: {error}");
            }
        }
    }
}

#[test]
fn an_error_in_a_very_long_line_is_an_error_like_any_other() {
    for text in ["{{ 1 + }}", "{{ ", "{{ ' }}", "{{ ? }}", "{% if %}"] {
        for filling in ["x", "\n"] {
            let long = filling.repeat(70_000) + text;
            assert!(matches!(check(&json!(long)), Err(TemplateError::Syntax(_))), "{text}");
        }
    }
    assert_eq!(check(&json!("x".repeat(70_000) + "{{ 1 * 1 }}")), Ok(()));
}

#[test]
fn a_templates_parts_and_bytes_are_counted() {
    assert_eq!(check(&json!("{{ ".to_owned() + &"1+".repeat(compile::TOKENS / 2 - 4) + "1 }}")), Ok(()));
    let refused = check(&json!("{{ ".to_owned() + &"1+".repeat(compile::TOKENS / 2 + 4) + "1 }}"));
    assert!(matches!(refused, Err(TemplateError::TooLarge(_))), "{refused:?}");
    let long = check(&json!("{{ 1 }}".to_owned() + &"x".repeat(compile::SOURCE)));
    assert!(matches!(long, Err(TemplateError::TooLarge(_))), "{long:?}");
    assert_eq!(check(&json!("x".repeat(2 * compile::SOURCE))), Ok(()), "no template");
    let many = |texts: usize| json!(vec!["{{ ".to_owned() + &"1+".repeat(1_000) + "1 }}"; texts]);
    assert_eq!(for_one_graph(|| check(&many(100))), Ok(()));
    let refused = for_one_graph(|| (0..3).try_for_each(|_| check(&many(60))));
    assert!(matches!(refused, Err(TemplateError::TooLarge(_))), "{refused:?}");
}

/// What would take more memory than there is, or more time than there should be.
const GREEDY: &[&str] = &[
    "{{ (range(99999)|list)|join(proposal) }}",
    "{{ proposal|join(proposal) }}",
    "{{ range(99999)|join(d=proposal) }}",
    "{{ proposal|replace('x', proposal) }}",
    "{{ proposal|replace('', proposal) }}",
    "{{ 'a\nb'|indent(4000000000) }}",
    "{{ 'a\nb'|indent(width=4000000000) }}",
    "{{ ('\n' * 900000)|indent(999) }}",
    "{{ [1]|batch(4000000000, 'x')|list }}",
    "{{ [1]|batch(linecount=4000000000, fill_with='x')|list }}",
    "{{ [1]|slice(4000000000)|list }}",
    "{{ [[1]]|tojson(indent=4000000000) }}",
    "{{ [[1]]|tojson(4000000000) }}",
    "{{ ([1] * 400000)|tojson(indent=900) }}",
    "{{ '%4000000000d'|format(1) }}",
    "{{ '%.4000000000f'|format(1) }}",
    "{{ '%*d'|format(4000000000, 1) }}",
    "{{ ('%s' * 200)|format(proposal) }}",
    "{{ ('%(a)s' * 900)|format(a=proposal) }}",
    "{{ 'x' * 4000000000 }}",
    "{{ 'x' * 99999999 }}",
    "{{ 99999999 * 'x' }}",
    "{{ [1] * 4000000000 }}",
    "{{ ([1] * 99999999)|length }}",
    "{{ (1, 2) * 49999999 }}",
    "{{ ('x' * 99999999) ~ ('x' * 99999999) }}",
    "{{ [1, 2] * 49999999 * 49999999 }}",
    "{{ -('x' * 99999999) }}",
    "{{ 'x' * 99999999 == 'x' * 99999999 }}",
    "{{ proposal ~ proposal ~ proposal ~ proposal ~ proposal }}",
    "{{ proposal + proposal + proposal + proposal + proposal }}",
    "{{ [proposal] * 2000 }}",
    "{{ ([proposal] * 2000)|string|length }}",
    "{{ range(99999)|map('default', proposal)|map('upper')|list|length }}",
    "{{ ([proposal] * 99)|map('replace', 'x', 'yyyy')|list|length }}",
    "{{ proposal|escape|escape|escape|escape }}{{ ('<' * 900000)|escape|escape }}",
    "{{ (range(99999)|list * 99)|sort|length }}",
    "{{ [[1]]|sum(start=[]) }}",
    "{{ ['a']|sum(start='') }}",
    "{% set x = 'aaaaaaaaaa' %}{% set x = x ~ x %}…{{ x|length }}",
    "{% set x = 'aaaaaaaaaa' %}{% set x = x + x %}…{{ x|length }}",
    "{% set x = 'aaaaaaaaaa' %}{% set x = x * 2 %}…{{ x|length }}",
    "{% set x = [1] %}{% set x = x + x %}…{{ x|length }}",
    "{% set x = [1] %}{% set x = x * 2 %}…{{ x|length }}",
    "{% set x = [1] %}{% set x = [x, x] %}…{{ x == x }}",
    "{% set x = [1] %}{% set x = [x, x] %}…{{ x|string|length }}",
    "{% set x = (1,) %}{% set x = (x, x) %}…{{ x|length }}",
    "{% set x = (1,) %}{% set x = x + x %}…{{ x|length }}",
    "{% set x = {} %}{% set x = {'a': x, 'b': x} %}…{{ x }}",
    "{% set x = {} %}{% set x = dict(a=x, b=x) %}…{{ x }}",
    "{% set x = [1] %}{% set x = x|chain(x) %}…{{ x|length }}",
    "{% set x = [1] %}{% set x = x|zip(x)|list %}…{{ x|length }}",
    "{% set x = [1] %}{% set x = x[:] + x[:] %}…{{ x|length }}",
    "{% set x = 'aaaaaaaaaa' %}{% set x %}{{ x }}{{ x }}{% endset %}…{{ x|length }}",
    "{% set x = 'aaaaaaaaaa' %}{% set x %}{% filter upper %}{{ x }}{{ x }}{% endfilter %}{% endset %}…{{ x|length }}",
    "{% set x = ['<<<<<<<<<<'] %}{% set x = [x|tojson, x] %}…{{ x|length }}",
    "{% set n = namespace(x='aaaaaaaaaa') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x|length }}",
    "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x|length }}",
    "{% set n = namespace(x=[1]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x|length }}",
    "{% set n = namespace() %}{% set n.x = n %}{{ n.x }}",
    "{% set n = namespace() %}{% set n.x = [n] %}{{ n.x }}",
    "{% set n = namespace() %}{% set n.x = {'a': n} %}{{ n.x }}",
    "{% set n = namespace() %}{% set m = namespace(n=n) %}{{ m.n }}",
    "{% set n = namespace() %}{% set m = dict(n=n) %}{% set n.m = m %}{{ n.m }}",
    "{% set n = namespace(x=[]) %}{% for i in range(99999) %}{% set n.x = n.x + [i] %}{% endfor %}{{ n.x|length }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}{{ proposal }}{% endfor %}",
    "{% set x %}{% for a in range(99999) %}§{% endfor %}{% endset %}{{ x|length }}",
    "{% for a in range(99999) %}{% if proposal == proposal %}{% endif %}{% endfor %}",
    "{% for a in range(99999) %}{% if 'y' in proposal %}{% endif %}{% endfor %}",
    "{% for a in range(99999) %}{% set x = proposal[1:] %}{% endfor %}",
    "{% for a in range(99999) %}{% set x = proposal|upper %}{% endfor %}",
    "{% for a in range(99999) %}{% set x = proposal is in proposal %}{% endfor %}",
    "{% for a in range(99999) %}{% set x = proposal|length %}{% endfor %}",
    "{% for a in range(99999) %}{% set x = context[proposal] %}{% endfor %}",
    "{% for a in range(99999) %}{% set x = loop.changed(proposal) %}{% endfor %}",
    "{% for x in [[]] recursive %}{{ loop([x, x]) }}{% endfor %}",
    "{{ range(0, 99999999999) }}",
    "{{ range(-99999999, 99999999)|length }}",
    "{{ range(*range(3)) }}",
    "{{ dict(**inputs) }}",
    "{{ [*inputs.list] }}",
    "{{ debug() }}",
    "{{ inputs|pprint }}",
];

#[test]
fn no_template_takes_much_memory_or_time() {
    let scope = json!({"inputs": {"list": [1, 2]}, "context": {}, "proposal": "x".repeat(500_000)});
    for text in GREEDY {
        // `…` repeats the `set` before it.
        let text = match text.split_once('…') {
            Some((before, after)) => {
                let at = before.find("%}").map_or(0, |at| at + 2);
                before[..at].to_owned() + &before[at..].repeat(40) + after
            }
            // `§` is a long text.
            None => text.replace('§', &"x".repeat(4_000)),
        };
        for text in [text.clone(), format!("so: {text}")] {
            let before = peak();
            let (filled, seconds) = with_stack(|| {
                let began = cpu();
                (fill(&json!(text), &scope, &TemplateBudget::default()), cpu() - began)
            });
            let shown: String = text.chars().take(120).collect();
            assert!(filled.is_err(), "{shown} became {:.100}", filled.unwrap_or_default().to_string());
            assert!(seconds < 10.0, "{shown} took {seconds} s");
            assert!(peak() < before + 600_000, "{shown} took {} kB", peak() - before);
        }
    }
}

/// Seconds of processor time that this thread has had.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = behind_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// The most memory that this process has had, in kB.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[test]
fn all_texts_of_an_attempt_share_one_budget() {
    let budget = TemplateBudget::default();
    let loops = json!(vec!["{% for a in range(66000) %}{% endfor %}"; 5_000]);
    let (filled, seconds) = with_stack(|| {
        let began = cpu();
        (fill(&loops, &json!({}), &budget), cpu() - began)
    });
    assert_eq!(filled, Err(TemplateError::Failed("it takes too many steps".to_owned())));
    assert!(seconds < 5.0, "took {seconds} s");
    assert!(fill(&json!("{{ 1 + 1 }}"), &json!({}), &budget).is_err(), "the next property begins anew");
    assert_eq!(fill(&json!("{{ 1 + 1 }}"), &json!({}), &TemplateBudget::default()), Ok(json!(2)));
    let scope = json!({"proposal": "x".repeat(500_000)});
    let copies = json!(vec!["{{ proposal }}"; 5_000]);
    assert!(fill(&copies, &scope, &TemplateBudget::default()).is_err());
    assert!(TemplateBudget::default().charge(1_000_000_000).is_err());
}

#[test]
fn an_expression_is_a_template_of_its_own() {
    let value = |text: &str| fill(&as_expression(text), &scope(), &TemplateBudget::default());
    assert_eq!(value("inputs.x > 3"), Ok(json!(true)));
    assert_eq!(value("{{ inputs.x }}"), Ok(json!(7)));
    assert!(value("inputs.x >").is_err());
}

#[tokio::test]
async fn work_runs_in_turn_and_is_dropped_with_whoever_waits_for_it() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    assert_eq!(on_worker(|| 7).await, Ok(7));
    assert_eq!(on_worker(|| -> u8 { panic!("a fault") }).await, Err(Broken));
    let ran = Arc::new(AtomicUsize::new(0));
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    // As many as there may be threads.
    let busy: Vec<_> = (0..4)
        .map(|_| {
            let held = Arc::clone(&held);
            tokio::spawn(on_worker(move || held.lock().recv().is_ok()))
        })
        .collect();
    let counted = Arc::clone(&ran);
    let waiting = tokio::spawn(on_worker(move || counted.fetch_add(1, Ordering::SeqCst)));
    tokio::task::yield_now().await;
    waiting.abort();
    let _ = waiting.await;
    drop(hold);
    for task in busy {
        let _ = task.await;
    }
    assert_eq!(on_worker(|| 8).await, Ok(8));
    assert_eq!(ran.load(Ordering::SeqCst), 0, "work ran for nobody");
}
