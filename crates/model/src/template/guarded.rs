//! A template in which whatever an operation is given is counted first (see [`super::budget`]).
//!
//! The tree is built anew: operands become calls of a function whose name no template can write. Nodes that neither make
//! nor read anything large (names, attributes, conditions) stay as they are.

use minijinja::Value;
use minijinja::machinery::Span;
use minijinja::machinery::ast::{
    AutoEscape, BinOp, BinOpKind, Block, Call, CallArg, CallBlock, Compare, CompareOp, Const, Do, EmitExpr,
    Expr, Extends, Filter, FilterBlock, ForLoop, FromImport, GetAttr, GetItem, IfCond, IfExpr, Import,
    Include, List, Macro, Map, Set, SetBlock, Slice, Spanned, Stmt, Template, Test, Tuple, UnaryOp,
    UnaryOpKind, Var, WithBlock,
};

/// The function that counts a value as a whole.
pub(super) const CHARGED: &str = "a value";
/// The function that multiplies.
pub(super) const PRODUCT: &str = "a product";
/// The function that counts a value's surface.
pub(super) const TOUCHED: &str = "a surface";

/// Texts in a template that are not counted when an operation is given them, in bytes.
const SHORT: usize = 256;
/// Filters that look at the surface of a value.
const SHALLOW_FILTERS: [&str; 6] = ["count", "d", "default", "first", "last", "length"];
/// Tests that look at the surface of a value.
const SHALLOW_TESTS: [&str; 14] = [
    "boolean",
    "callable",
    "defined",
    "false",
    "float",
    "integer",
    "iterable",
    "mapping",
    "none",
    "number",
    "sequence",
    "string",
    "true",
    "undefined",
];
/// Names of the engine's own objects, which are nobody's operand.
const ENGINE_NAMES: [&str; 2] = ["loop", "self"];

/// The counted form of a statement.
pub(super) fn statement<'a>(stmt: &Stmt<'a>) -> Stmt<'a> {
    match stmt {
        Stmt::Template(node) => {
            Stmt::Template(spanned(node, Template { children: statements(&node.children) }))
        }
        Stmt::EmitExpr(node) => Stmt::EmitExpr(spanned(node, EmitExpr { expr: expression(&node.expr) })),
        // Text of the template itself can be repeated into a variable, so it is written as any value.
        Stmt::EmitRaw(node) => {
            let text = Expr::Const(spanned(node, Const { value: Value::from(node.raw) }));
            Stmt::EmitExpr(spanned(node, EmitExpr { expr: text }))
        }
        Stmt::ForLoop(node) => Stmt::ForLoop(spanned(
            node,
            ForLoop {
                target: target(&node.target),
                iter: expression(&node.iter),
                filter_expr: node.filter_expr.as_ref().map(expression),
                recursive: node.recursive,
                body: statements(&node.body),
                else_body: statements(&node.else_body),
            },
        )),
        Stmt::IfCond(node) => Stmt::IfCond(spanned(
            node,
            IfCond {
                expr: expression(&node.expr),
                true_body: statements(&node.true_body),
                false_body: statements(&node.false_body),
            },
        )),
        Stmt::WithBlock(node) => {
            let assignments =
                node.assignments.iter().map(|(name, value)| (target(name), expression(value))).collect();
            Stmt::WithBlock(spanned(node, WithBlock { assignments, body: statements(&node.body) }))
        }
        Stmt::Set(node) => {
            Stmt::Set(spanned(node, Set { target: target(&node.target), expr: expression(&node.expr) }))
        }
        Stmt::SetBlock(node) => Stmt::SetBlock(spanned(
            node,
            SetBlock {
                target: target(&node.target),
                filter: node.filter.as_ref().map(expression),
                body: statements(&node.body),
            },
        )),
        Stmt::AutoEscape(node) => Stmt::AutoEscape(spanned(
            node,
            AutoEscape { enabled: expression(&node.enabled), body: statements(&node.body) },
        )),
        Stmt::FilterBlock(node) => Stmt::FilterBlock(spanned(
            node,
            FilterBlock { filter: expression(&node.filter), body: statements(&node.body) },
        )),
        Stmt::Block(node) => Stmt::Block(spanned(
            node,
            Block { name: node.name, required: node.required, body: statements(&node.body) },
        )),
        Stmt::Import(node) => {
            Stmt::Import(spanned(node, Import { expr: expression(&node.expr), name: target(&node.name) }))
        }
        Stmt::FromImport(node) => {
            let names =
                node.names.iter().map(|(name, alias)| (target(name), alias.as_ref().map(target))).collect();
            Stmt::FromImport(spanned(node, FromImport { expr: expression(&node.expr), names }))
        }
        Stmt::Extends(node) => Stmt::Extends(spanned(node, Extends { name: expression(&node.name) })),
        Stmt::Include(node) => Stmt::Include(spanned(
            node,
            Include { name: expression(&node.name), ignore_missing: node.ignore_missing },
        )),
        Stmt::Macro(node) => Stmt::Macro(macro_declaration(node)),
        Stmt::CallBlock(node) => Stmt::CallBlock(spanned(
            node,
            CallBlock { call: call(&node.call), macro_decl: macro_declaration(&node.macro_decl) },
        )),
        Stmt::Continue(node) => Stmt::Continue(spanned(node, minijinja::machinery::ast::Continue)),
        Stmt::Break(node) => Stmt::Break(spanned(node, minijinja::machinery::ast::Break)),
        Stmt::Do(node) => Stmt::Do(spanned(node, Do { call: call(&node.call) })),
    }
}

fn statements<'a>(statements: &[Stmt<'a>]) -> Vec<Stmt<'a>> {
    statements.iter().map(statement).collect()
}

fn macro_declaration<'a>(node: &Spanned<Macro<'a>>) -> Spanned<Macro<'a>> {
    let declaration = Macro {
        name: node.name,
        args: node.args.iter().map(target).collect(),
        defaults: node.defaults.iter().map(expression).collect(),
        body: statements(&node.body),
    };
    spanned(node, declaration)
}

/// What is assigned to: names, lists of them, attributes of namespaces.
fn target<'a>(expr: &Expr<'a>) -> Expr<'a> {
    match expr {
        Expr::List(node) => {
            Expr::List(spanned(node, List { items: node.items.iter().map(target).collect() }))
        }
        Expr::Tuple(node) => {
            Expr::Tuple(spanned(node, Tuple { items: node.items.iter().map(target).collect() }))
        }
        _ => expression(expr),
    }
}

/// The counted form of an expression, itself not yet counted.
fn expression<'a>(expr: &Expr<'a>) -> Expr<'a> {
    match expr {
        Expr::Var(node) => Expr::Var(spanned(node, Var { id: node.id })),
        Expr::Const(node) => Expr::Const(spanned(node, Const { value: node.value.clone() })),
        Expr::Slice(node) => Expr::Slice(spanned(
            node,
            Slice {
                expr: operand(&node.expr),
                start: node.start.as_ref().map(expression),
                stop: node.stop.as_ref().map(expression),
                step: node.step.as_ref().map(expression),
            },
        )),
        Expr::UnaryOp(node) => {
            let is_not = matches!(node.op, UnaryOpKind::Not);
            let op = if is_not { UnaryOpKind::Not } else { UnaryOpKind::Neg };
            Expr::UnaryOp(spanned(node, UnaryOp { op, expr: expression(&node.expr) }))
        }
        Expr::BinOp(node) => binary(node),
        Expr::Compare(node) => {
            let ops =
                node.ops.iter().map(|next| CompareOp { op: next.op, expr: operand(&next.expr) }).collect();
            Expr::Compare(spanned(node, Compare { expr: operand(&node.expr), ops }))
        }
        Expr::IfExpr(node) => Expr::IfExpr(spanned(
            node,
            IfExpr {
                test_expr: expression(&node.test_expr),
                true_expr: expression(&node.true_expr),
                false_expr: node.false_expr.as_ref().map(expression),
            },
        )),
        Expr::Filter(node) => {
            let of = if SHALLOW_FILTERS.contains(&node.name) { surface } else { operand };
            let filter =
                Filter { name: node.name, expr: node.expr.as_ref().map(of), args: arguments(&node.args) };
            Expr::Filter(spanned(node, filter))
        }
        Expr::Test(node) => {
            let of = if SHALLOW_TESTS.contains(&node.name) { expression } else { operand };
            let test = Test { name: node.name, expr: of(&node.expr), args: arguments(&node.args) };
            Expr::Test(spanned(node, test))
        }
        Expr::GetAttr(node) => {
            Expr::GetAttr(spanned(node, GetAttr { expr: expression(&node.expr), name: node.name }))
        }
        Expr::GetItem(node) => Expr::GetItem(spanned(
            node,
            GetItem { expr: surface(&node.expr), subscript_expr: operand(&node.subscript_expr) },
        )),
        Expr::Call(node) => Expr::Call(call(node)),
        Expr::List(node) => {
            Expr::List(spanned(node, List { items: node.items.iter().map(operand).collect() }))
        }
        Expr::Tuple(node) => {
            Expr::Tuple(spanned(node, Tuple { items: node.items.iter().map(operand).collect() }))
        }
        Expr::Map(node) => Expr::Map(spanned(
            node,
            Map {
                keys: node.keys.iter().map(operand).collect(),
                values: node.values.iter().map(operand).collect(),
            },
        )),
    }
}

fn binary<'a>(node: &Spanned<BinOp<'a>>) -> Expr<'a> {
    let (left, right) = match node.op {
        BinOpKind::ScAnd
        | BinOpKind::ScOr
        | BinOpKind::Sub
        | BinOpKind::Div
        | BinOpKind::FloorDiv
        | BinOpKind::Rem
        | BinOpKind::Pow => (expression(&node.left), expression(&node.right)),
        BinOpKind::Eq
        | BinOpKind::Ne
        | BinOpKind::Lt
        | BinOpKind::Lte
        | BinOpKind::Gt
        | BinOpKind::Gte
        | BinOpKind::In
        | BinOpKind::Add
        | BinOpKind::Concat => (operand(&node.left), operand(&node.right)),
        BinOpKind::Mul => {
            let factors = [&node.left, &node.right].map(|factor| CallArg::Pos(operand(factor)));
            return called(PRODUCT, factors.into(), node.span());
        }
    };
    Expr::BinOp(spanned(node, BinOp { op: node.op, left, right }))
}

fn call<'a>(node: &Spanned<Call<'a>>) -> Spanned<Call<'a>> {
    let called = match &node.expr {
        Expr::GetAttr(method) => {
            let receiver = match &method.expr {
                Expr::Var(name) if ENGINE_NAMES.contains(&name.id) => expression(&method.expr),
                receiver => surface(receiver),
            };
            Expr::GetAttr(spanned(method, GetAttr { expr: receiver, name: method.name }))
        }
        called => expression(called),
    };
    spanned(node, Call { expr: called, args: arguments(&node.args) })
}

fn arguments<'a>(arguments: &[CallArg<'a>]) -> Vec<CallArg<'a>> {
    let counted = |argument: &CallArg<'a>| match argument {
        CallArg::Pos(value) => CallArg::Pos(operand(value)),
        CallArg::Kwarg(name, value) => CallArg::Kwarg(name, operand(value)),
        CallArg::PosSplat(values) => CallArg::PosSplat(operand(values)),
        CallArg::KwargSplat(values) => CallArg::KwargSplat(operand(values)),
    };
    arguments.iter().map(counted).collect()
}

/// An expression whose value is read as a whole.
fn operand<'a>(expr: &Expr<'a>) -> Expr<'a> {
    if is_small(expr) { expression(expr) } else { counted(CHARGED, expr) }
}

/// An expression of whose value the surface is read.
fn surface<'a>(expr: &Expr<'a>) -> Expr<'a> {
    if is_small(expr) { expression(expr) } else { counted(TOUCHED, expr) }
}

/// Short constants and truth values.
fn is_small(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Const(node) => node.value.as_str().is_none_or(|text| text.len() <= SHORT),
        Expr::Compare(_) | Expr::Test(_) => true,
        Expr::UnaryOp(node) => matches!(node.op, UnaryOpKind::Not),
        _ => false,
    }
}

fn counted<'a>(function: &'static str, expr: &Expr<'a>) -> Expr<'a> {
    called(function, vec![CallArg::Pos(expression(expr))], expr.span())
}

fn called<'a>(function: &'static str, args: Vec<CallArg<'a>>, span: Span) -> Expr<'a> {
    let name = Expr::Var(Spanned::new(Var { id: function }, span));
    Expr::Call(Spanned::new(Call { expr: name, args }, span))
}

/// A node where another one was.
fn spanned<T, U>(from: &Spanned<T>, node: U) -> Spanned<U> {
    Spanned::new(node, from.span())
}
