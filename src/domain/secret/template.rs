//! `spec.secret.data`: templates in the manner of Jinja, of which only a part is allowed.
//!
//! Whoever may make a PostgresUser writes these, and the operator of all tenants renders them. So what a template may have in
//! it is a list of what is harmless, not of what is not: text, variables, literals, comparisons, filters of our own and `if`.
//! Nothing in that list repeats or multiplies, so what a template costs grows with its length alone. What is left, how long
//! the values and the text around them are, has bounds of its own.

use minijinja::machinery::{Token, ast, parse, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use zeroize::Zeroizing;

use super::filters::LONGEST_VALUE;
use super::{Login, filters};
use crate::domain::conditions::presentable;

/// How many words and signs there are in one `{{ }}` or `{% %}`, and how many `{% %}`: what is nested without end would take the
/// parser's stack.
const TOKENS: usize = 64;
const BLOCKS: usize = 64;
/// In minijinja's units: one for each instruction, and for every 64 bytes that are read or written.
const FUEL: u64 = 200_000;
/// The most of minijinja's own words that is told, in characters.
const LONGEST_WORDS: usize = 200;

/// What a template can name.
pub const VARIABLES: &[&str] = &[
    "username", "password", "host", "port", "database", "sslmode", "provider", "type", "uri", "jdbcUrl",
    "pgpass", "ca", "caFile",
];

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1 on, if it is in one.
    pub line: Option<usize>,
    /// What is wrong and what to write instead. It never has a value in it, for that may be the password.
    pub message: String,
}

/// Renders templates for one login.
pub struct Renderer<'source> {
    environment: Environment<'source>,
    variables: Value,
}

impl<'source> Renderer<'source> {
    /// One that knows this login.
    pub fn new(login: &Login<'_>) -> Self {
        let mut environment = Environment::empty();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(syntax());
        environment.set_fuel(Some(FUEL));
        filters::add_to(&mut environment);
        Self {
            environment,
            variables: variables(login),
        }
    }

    /// Renders one.
    ///
    /// # Errors
    /// If there is something in it that is not allowed, or not known, or it gets too long.
    pub fn render(&self, source: &'source str) -> Result<Zeroizing<String>, Fault> {
        check(source)?;
        let template = self.environment.template_from_str(source);
        let mut output = Bounded::default();
        template
            .and_then(|template| template.render_captured_to(self.variables.clone(), &mut output))
            .map_err(|error| fault_of(&error))?;
        let text = std::str::from_utf8(&output.0).unwrap_or_default();
        Ok(Zeroizing::new(text.to_string()))
    }
}

/// What is written stays, the last line's end as well: a template is what the value is.
fn syntax() -> SyntaxConfig {
    let mut builder = SyntaxConfig::builder();
    builder.keep_trailing_newline(true);
    builder.build().unwrap_or_default()
}

fn variables(login: &Login<'_>) -> Value {
    let details = login.details;
    let text = |text: &str| Value::from(text);
    let values = [
        text(login.username),
        text(login.password.reveal()),
        text(&details.host),
        Value::from(details.port),
        text(&details.database),
        text(details.sslmode.as_str()),
        text(details.provider),
        text("postgresql"),
        text(&login.uri()),
        text(&login.jdbc()),
        text(&login.pgpass()),
        text(login.ca().unwrap_or_default()),
        text(&login.ca_file().unwrap_or_default()),
    ];
    Value::from_pairs(VARIABLES.iter().copied().zip(values))
}

/// Output that ends somewhere.
#[derive(Default)]
struct Bounded(Zeroizing<Vec<u8>>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST_VALUE {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What minijinja has to say. Its words are shown only where they are about the template, not about a value.
fn fault_of(error: &Error) -> Fault {
    let message = match error.kind() {
        ErrorKind::SyntaxError | ErrorKind::BadEscape => {
            let words = error.detail().unwrap_or("it cannot be read");
            let words: String = presentable(words).chars().take(LONGEST_WORDS).collect();
            format!(
                "{words}: write text, {{{{ variable|filter }}}} and {{% if … %}}…{{% endif %}}, each with its end"
            )
        }
        ErrorKind::OutOfFuel | ErrorKind::WriteFailure => too_long(),
        ErrorKind::InvalidOperation if error.detail() == Some(filters::TOO_LONG) => too_long(),
        kind => {
            format!("it cannot be rendered ({kind}): write text, {{{{ variable|filter }}}} and {{% if %}}")
        }
    };
    Fault {
        line: error.line(),
        message,
    }
}

fn too_long() -> String {
    format!(
        "its value is longer than {} KiB: write less text, or name {{{{ ca }}}} once, or mount ca.crt and name {{{{ caFile }}}}",
        LONGEST_VALUE / 1024
    )
}

/// Whether a template has nothing in it but what is allowed.
fn check(source: &str) -> Result<(), Fault> {
    count(source)?;
    let parsed = parse(source, "template", syntax()).map_err(|error| fault_of(&error))?;
    statement(&parsed)
}

/// Counts words before they are parsed, since the parser calls itself for many of them.
fn count(source: &str) -> Result<(), Fault> {
    let (mut tokens, mut blocks) = (0, 0);
    for token in tokenize(source, false, syntax()) {
        // What is no word is for the parser to tell.
        let Ok((token, span)) = token else { break };
        match token {
            Token::VariableStart | Token::BlockStart => tokens = 0,
            _ => tokens += 1,
        }
        if matches!(token, Token::BlockStart) {
            blocks += 1;
        }
        if tokens > TOKENS || blocks > BLOCKS {
            return Err(at(
                span.start_line,
                format!(
                    "there is too much in it: at most {TOKENS} words in one {{{{ }}}}, and {BLOCKS} {{% %}}; write two keys"
                ),
            ));
        }
    }
    Ok(())
}

fn at(line: impl TryInto<usize>, message: impl Into<String>) -> Fault {
    Fault {
        line: line.try_into().ok(),
        message: message.into(),
    }
}

fn statement(statement: &ast::Stmt<'_>) -> Result<(), Fault> {
    let other = |span: minijinja::machinery::Span, what: &str| {
        Err(at(
            span.start_line,
            format!(
                "{{% {what} %}} is not allowed: write {{{{ variable|filter }}}} and {{% if … %}}…{{% endif %}}"
            ),
        ))
    };
    match statement {
        ast::Stmt::Template(template) => statements(&template.children),
        ast::Stmt::EmitRaw(_) => Ok(()),
        ast::Stmt::EmitExpr(emit) => expression(&emit.expr),
        ast::Stmt::IfCond(condition) => {
            expression(&condition.expr)?;
            statements(&condition.true_body)?;
            statements(&condition.false_body)
        }
        ast::Stmt::ForLoop(it) => other(it.span(), "for"),
        ast::Stmt::WithBlock(it) => other(it.span(), "with"),
        ast::Stmt::Set(it) => other(it.span(), "set"),
        ast::Stmt::SetBlock(it) => other(it.span(), "set"),
        ast::Stmt::AutoEscape(it) => other(it.span(), "autoescape"),
        ast::Stmt::FilterBlock(it) => other(it.span(), "filter"),
        ast::Stmt::Do(it) => other(it.span(), "do"),
    }
}

fn statements(all: &[ast::Stmt<'_>]) -> Result<(), Fault> {
    all.iter().try_for_each(statement)
}

fn expression(expr: &ast::Expr<'_>) -> Result<(), Fault> {
    let line = expr.span().start_line;
    let refused = |what: &str| Err(at(line, format!("{what} not allowed: {}", allowed())));
    match expr {
        ast::Expr::Const(_) => Ok(()),
        ast::Expr::Var(variable) => variable_is_known(variable.id).map_err(|why| at(line, why)),
        ast::Expr::Filter(filter) => {
            filter_is_known(filter).map_err(|why| at(line, why))?;
            filter.expr.iter().try_for_each(expression)
        }
        ast::Expr::UnaryOp(it) if matches!(it.op, ast::UnaryOpKind::Not) => expression(&it.expr),
        ast::Expr::UnaryOp(_) => refused("a sign before a value is"),
        ast::Expr::BinOp(it) => operation(it, line),
        ast::Expr::IfExpr(it) => {
            let Some(otherwise) = &it.false_expr else {
                return Err(at(
                    line,
                    "an if within {{ }} needs an else: write {{ a if b else \"\" }}",
                ));
            };
            [&it.test_expr, &it.true_expr, otherwise]
                .into_iter()
                .try_for_each(expression)
        }
        ast::Expr::GetAttr(_) | ast::Expr::GetItem(_) | ast::Expr::Slice(_) => {
            refused("parts of a value are")
        }
        ast::Expr::Test(_) => refused("\"is\" is"),
        ast::Expr::Call(_) => refused("calls are"),
        ast::Expr::Compare(_) => refused("chains of comparisons are"),
        ast::Expr::List(_) | ast::Expr::Tuple(_) | ast::Expr::Map(_) => refused("lists and maps are"),
    }
}

fn operation(it: &ast::BinOp<'_>, line: impl TryInto<usize>) -> Result<(), Fault> {
    use ast::BinOpKind::*;
    match (it.op, &it.right) {
        (Eq | Ne | ScAnd | ScOr | Concat, _) => {
            expression(&it.left)?;
            expression(&it.right)
        }
        // A list is allowed where a value is looked for in it.
        (In, ast::Expr::List(list)) => {
            expression(&it.left)?;
            list.items.iter().try_for_each(expression)
        }
        _ => Err(at(
            line,
            "of the operators only ==, !=, and, or, not, ~ and in […] are allowed: write {% if sslmode == \"require\" %}",
        )),
    }
}

fn allowed() -> &'static str {
    "write {{ variable }}, {{ variable|filter }} or {% if variable == \"text\" %}"
}

fn variable_is_known(name: &str) -> Result<(), String> {
    match VARIABLES.contains(&name) {
        true => Ok(()),
        false => Err(format!(
            "there is no variable {:?}: write one of {}",
            shown(name),
            VARIABLES.join(", ")
        )),
    }
}

fn filter_is_known(filter: &ast::Filter<'_>) -> Result<(), String> {
    let names: Vec<&str> = filters::ALL.iter().map(|(name, _)| *name).collect();
    if !names.contains(&filter.name) {
        return Err(format!(
            "there is no filter {:?}: write one of {}",
            shown(filter.name),
            names.join(", ")
        ));
    }
    match filter.args.is_empty() && filter.expr.is_some() {
        true => Ok(()),
        false => Err(format!(
            "{} takes nothing in parentheses: write {{{{ password|{} }}}}",
            filter.name, filter.name
        )),
    }
}

fn shown(name: &str) -> String {
    name.chars().take(63).collect()
}
