"""The figures of a sweep: Roth et al. (ICLR 2024, arXiv 2310.17653), figures 4 to 6 and the appendix."""

from typing import Any

import altair as alt

from ktlight.publication.draw import COLOURS
from ktlight.publication.figures.common import (
    DIVERGING,
    HEIGHT,
    MANY,
    WIDTH,
    category,
    chart,
    length,
    on_cell,
    rule,
    scatter,
    unique,
)

DIFFERENCE = "accuracy of the teacher minus that of the student (points)"
DELTA = "transfer delta (points)"
PARAMETERS = "parameters of the student"


def success(students: Any) -> Any:
    """Return a box over students per method of the share of teachers that helped, with every student as a point.

    Args:
        students: Columns ``method``, ``success`` in percent, and ``source``: whose runs they are.
    """
    methods, sources = unique(students, "method"), unique(students, "source")
    y = alt.Y("method:N", sort=methods, title=None, axis=alt.Axis(labelLimit=260))
    x = alt.X("success:Q", title="teachers that helped (% of each student's)", scale=alt.Scale(domain=[0, 100]))
    colour = category("source", "", sources) if len(sources) > 1 else alt.value(COLOURS[0])
    base = chart(students, "method", "success", "source").encode(x=x, y=y, color=colour)
    offset = {"yOffset": alt.YOffset("source:N", sort=sources)} if len(sources) > 1 else {}
    boxes = base.mark_boxplot(extent="min-max", size=12, opacity=0.55).encode(**offset)
    points = base.mark_tick(thickness=2, size=12, opacity=0.9).encode(**offset)
    return (boxes + points).properties(width=WIDTH, height=max(90, 44 * len(methods) * max(1, len(sources))))


def delta_against_difference(pairs: Any, bins: Any) -> Any:
    """Return the delta against the performance difference: every pair, and mean with quartiles of each bin.

    Args:
        pairs: Columns ``method``, ``difference``, ``delta``, in points.
        bins: Columns ``method``, ``difference`` (mean of the bin), ``mean``, ``q25``, ``q75``.
    """
    colour = category("method", "method", unique(pairs, "method"))
    x = alt.X("difference:Q", title=DIFFERENCE)
    points = scatter(pairs, x, alt.Y("delta:Q", title=DELTA), ["method", "difference", "delta"], colour)
    of_bins = chart(bins, "method", "difference", "mean", "q25", "q75").encode(x="difference:Q", color=colour)
    band = of_bins.mark_area(opacity=0.18).encode(y="q25:Q", y2="q75:Q")
    line = of_bins.mark_line(point=alt.OverlayMarkDef(size=45), strokeWidth=2).encode(y="mean:Q")
    layers = [rule(y=0), rule(x=0), points]
    if length(pairs) > 3:  # else there is no band to see
        layers += [band, line]
    layered = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)
    return layered.resolve_scale(color="independent") if length(pairs) > MANY else layered


def top_class_rates(rates: Any) -> Any:
    """Return the transfer rate of the top-p% classes, mean and quartiles over pairs, a line per kind of student.

    Args:
        rates: Columns ``method``, ``kind``, ``percent``, ``rate`` in percent.
    """
    methods = unique(rates, "method")
    base = chart(rates, "method", "kind", "percent", "rate").encode(
        x=alt.X("percent:O", title="top-p% classes", axis=alt.Axis(labelAngle=0)),
        color=category("kind", "student", sorted(unique(rates, "kind"))),
    )
    y = alt.Y("mean(rate):Q", title="of it transferred (%)", scale=alt.Scale(zero=False))
    band = base.mark_area(opacity=0.18).encode(y=alt.Y("q1(rate):Q"), y2="q3(rate):Q")
    lines = base.mark_line(point=True).encode(y=y)
    columns = min(3, len(methods))
    layered = (band + lines).properties(width=WIDTH // columns - 30, height=200)
    return layered.facet(facet=alt.Facet("method:N", title=None, sort=methods), columns=columns)


def student_properties(pairs: Any, outcome: str, title: str) -> Any:
    """Return an outcome of transfers against the size of the student, by kind of architecture.

    Args:
        pairs: Columns ``method``, ``student_params``, ``student_kind`` and the outcome's.
        outcome: Its column.
        title: Its title.
    """
    x = alt.X("student_params:Q", title=PARAMETERS, scale=alt.Scale(type="log", nice=False), axis=alt.Axis(format="~s"))
    y = alt.Y(f"{outcome}:Q", title=title)
    names = ["method", "student_params", "student_kind", outcome]
    kinds = category("student_kind", "student", sorted(unique(pairs, "student_kind")))
    methods = unique(pairs, "method")
    shape = {"shape": alt.Shape("method:N", sort=methods)} if 1 < len(methods) <= 6 else {}
    if length(pairs) > MANY:
        mean = chart(pairs, *names).mark_circle(size=50).encode(x=x, y=y.aggregate("mean"), color=kinds)
        return mean.properties(width=WIDTH, height=HEIGHT)
    points = chart(pairs, *names).mark_point(size=40, filled=True, opacity=0.8).encode(x=x, y=y, color=kinds, **shape)
    return points.properties(width=WIDTH, height=HEIGHT)


def correlations(table: Any) -> Any:
    """Return Pearson's r between properties of the models and outcomes, as a coloured table.

    Args:
        table: Columns ``method``, ``property``, ``outcome``, ``r``.
    """
    methods = unique(table, "method")
    base = chart(table, "method", "property", "outcome", "r").encode(
        x=alt.X("outcome:N", title=None, sort=["delta", "gain", "loss"], axis=alt.Axis(labelAngle=0)),
        y=alt.Y("property:N", title=None, sort=unique(table, "property")),
    )
    colour = alt.Color("r:Q", scale=alt.Scale(scheme=DIVERGING, domain=[-1, 1]), title="r")
    known = base.transform_filter("isValid(datum.r)")
    text = known.mark_text(fontSize=9).encode(text=alt.Text("r:Q", format="+.2f"), color=on_cell("r", 1.0))
    layered = (known.mark_rect().encode(color=colour) + text).properties(width=130)
    return layered.facet(facet=alt.Facet("method:N", title=None, sort=methods), columns=3)


def gain_and_loss(pairs: Any) -> Any:
    """Return knowledge gain against knowledge loss; above the diagonal the student is better.

    Args:
        pairs: Columns ``method``, ``gain``, ``loss``, in percent.
    """
    x, y = alt.X("loss:Q", title="knowledge loss (%)"), alt.Y("gain:Q", title="knowledge gain (%)")
    points = scatter(pairs, x, y, ["method", "loss", "gain"], category("method", "method", unique(pairs, "method")))
    most = float(max(max(pairs["gain"]), max(pairs["loss"])))
    diagonal = chart({"loss": [0, most], "gain": [0, most]}, "loss", "gain")
    line = diagonal.mark_line(strokeDash=[4, 3], opacity=0.7, color="#8c8c8c").encode(x="loss:Q", y="gain:Q")
    return (line + points).properties(width=WIDTH, height=HEIGHT)


def stages(changes: Any) -> Any:
    """Return gain and loss against the very first student after each teacher of a sequence.

    Args:
        changes: Columns ``method``, ``stage``, ``outcome`` (gain, loss, delta) and ``percent``.
    """
    base = chart(changes, "method", "stage", "outcome", "percent").encode(
        x=alt.X("stage:O", title="after teacher number", axis=alt.Axis(labelAngle=0)),
        color=category("method", "method", unique(changes, "method")),
        strokeDash=alt.StrokeDash(
            "outcome:N", sort=["delta", "gain", "loss"], title="", legend=alt.Legend(symbolType="stroke")
        ),
    )
    return (
        base.mark_line(point=True)
        .encode(y=alt.Y("mean(percent):Q", title="% of the samples"))
        .properties(width=WIDTH, height=HEIGHT)
    )


def schedules(pairs: Any) -> Any:
    """Return the delta by student, a colour for each way to be taught.

    Args:
        pairs: Columns ``student``, ``method``, ``teacher``, ``delta``.
    """
    methods, names = unique(pairs, "method"), unique(pairs, "student")
    base = chart(pairs, "student", "method", "teacher", "delta").encode(
        x=alt.X("delta:Q", title=DELTA),
        y=alt.Y("student:N", sort=names, title=None, axis=alt.Axis(labelLimit=220)),
        yOffset=alt.YOffset("method:N", sort=methods),
        color=category("method", "method", methods),
    )
    points = base.mark_circle(size=45, opacity=0.8)
    return (rule(x=0) + points).properties(width=WIDTH, height=max(80, len(names) * (10 + 9 * len(methods))))


def by_student(students: Any) -> Any:
    """Return mean and standard deviation of the delta over teachers, by student and method.

    Args:
        students: Columns ``student``, ``method``, ``mean_delta``, ``std_delta`` (NaN of one teacher).
    """
    methods, names = unique(students, "method"), unique(students, "student")
    base = chart(students, "student", "method", "mean_delta", "std_delta").encode(
        y=alt.Y("student:N", sort=names, title=None, axis=alt.Axis(labelLimit=220)),
        yOffset=alt.YOffset("method:N", sort=methods),
        color=category("method", "method", methods),
    )
    bars = (
        base.transform_calculate(low="datum.mean_delta - datum.std_delta", high="datum.mean_delta + datum.std_delta")
        .transform_filter("isValid(datum.std_delta)")
        .mark_rule(strokeWidth=2, opacity=0.7)
        .encode(x="low:Q", x2="high:Q")
    )
    points = base.mark_circle(size=45).encode(x=alt.X("mean_delta:Q", title=f"mean {DELTA} and standard deviation"))
    return (rule(x=0) + bars + points).properties(width=WIDTH, height=max(80, len(names) * (10 + 9 * len(methods))))


def delta_map(pairs: Any, models: list[str]) -> Any:
    """Return the delta of every teacher and student as a map, one per method.

    Args:
        pairs: Columns ``method``, ``teacher``, ``student``, ``delta``.
        models: In the order of the axes.
    """
    methods = unique(pairs, "method")
    size = max(20, min(46, 900 // max(1, len(models))))
    base = chart(pairs, "method", "teacher", "student", "delta").encode(
        x=alt.X("student:N", title="student", sort=models, axis=alt.Axis(labelAngle=-60, labelLimit=120)),
        y=alt.Y("teacher:N", title="teacher", sort=models, axis=alt.Axis(labelLimit=140)),
    )
    colour = alt.Color("delta:Q", scale=alt.Scale(scheme=DIVERGING, domainMid=0, reverse=True), title="delta")
    cells = base.mark_rect().encode(color=colour)
    if length(pairs) <= 500:
        most = max(abs(delta) for delta in pairs["delta"])
        cells += base.mark_text(fontSize=9).encode(
            text=alt.Text("delta:Q", format="+.1f"), color=on_cell("delta", most)
        )
    layered = cells.properties(width=alt.Step(size), height=alt.Step(size * 0.7))
    return layered.facet(facet=alt.Facet("method:N", title=None, sort=methods), columns=max(1, 16 // len(models)))
