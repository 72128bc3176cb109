# Step 9: what people look at.


rule table:
    input:
        rows=STUDY.drawn_from("tables"),
    output:
        csv=report(
            f"{STUDY.output}/tables/{{name}}.csv",
            category="Tables",
            caption="../report/table.rst",
            labels={"table": "{name}"},
        ),
        md=f"{STUDY.output}/tables/{{name}}.md",
        tex=f"{STUDY.output}/tables/{{name}}.tex",
    log:
        f"{STUDY.output}/logs/table/{{name}}.log",
    benchmark:
        f"{STUDY.output}/benchmarks/table/{{name}}.tsv"
    localrule: True
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=STUDY.settings("table"),
    message:
        "Table {wildcards.name}"
    shell:
        "manyexits table --settings {params.settings:q} --inputs {input.rows:q} --output {output.csv:q} 2> {log:q}"


rule figure:
    input:
        rows=STUDY.drawn_from("figures"),
    output:
        pdf=f"{STUDY.output}/figures/{{name}}.pdf",
        png=report(
            f"{STUDY.output}/figures/{{name}}.png",
            category="Figures",
            caption="../report/figure.rst",
            labels={"figure": "{name}"},
        ),
        svg=f"{STUDY.output}/figures/{{name}}.svg",
    log:
        f"{STUDY.output}/logs/figure/{{name}}.log",
    benchmark:
        f"{STUDY.output}/benchmarks/figure/{{name}}.tsv"
    localrule: True
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=STUDY.settings("figure"),
    message:
        "Figure {wildcards.name}"
    shell:
        "manyexits figure --settings {params.settings:q} --inputs {input.rows:q} --output {output.pdf:q} 2> {log:q}"
