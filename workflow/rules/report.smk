# Steps 9 and 10: what people look at.

import os
from functools import partial

CHECKOUT = Path(os.path.relpath(workflow.basedir))
# captions are rendered by `snakemake --report`, which hands them the configuration; each artefact has one of its own
config["caption"] = partial(STUDY.caption, CHECKOUT)


report: "../report/workflow.rst"


rule table:
    input:
        unpack(STUDY.reads("table")),
    output:
        csv=f"{STUDY.output}/tables/{{name}}.csv",
        md=f"{STUDY.output}/tables/{{name}}.md",
        tex=f"{STUDY.output}/tables/{{name}}.tex",
        html=report(
            f"{STUDY.output}/tables/{{name}}.html",
            category="Tables",
            caption="../report/artefact.rst",
            labels=STUDY.labels(CHECKOUT, "tables"),
        ),
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
        settings=STUDY.short("table"),
        long=STUDY.long("table"),
    message:
        "Table {wildcards.name}"
    shell:
        "manyexits table --settings {params.settings:q} --inputs {input.rows:q} --comparisons {input.comparisons:q} --beside {input.beside:q} --output {output.csv:q} 2> {log:q} <<< {params.long:q}"


rule figure:
    input:
        unpack(STUDY.reads("figure")),
    output:
        pdf=f"{STUDY.output}/figures/{{name}}.pdf",
        png=report(
            f"{STUDY.output}/figures/{{name}}.png",
            category="Figures",
            caption="../report/artefact.rst",
            labels=STUDY.labels(CHECKOUT, "figures"),
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
        settings=STUDY.short("figure"),
        long=STUDY.long("figure"),
    message:
        "Figure {wildcards.name}"
    shell:
        "manyexits figure --settings {params.settings:q} --inputs {input.rows:q} --output {output.pdf:q} 2> {log:q} <<< {params.long:q}"


rule card:
    input:
        unpack(STUDY.reads("card")),
        citation=str(CHECKOUT / "CITATION.cff"),
        lock=str(CHECKOUT / "envs/requirements.txt"),
        templates=[
            str(CHECKOUT / f"workflow/report/card.{suffix}")
            for suffix in ("md", "html")
        ],
    output:
        md=f"{STUDY.output}/card.md",
        html=report(
            f"{STUDY.output}/card.html",
            category="Reproducibility card",
            caption="../report/card.rst",
            labels={"card": "nine variables and their evidence"},
        ),
    log:
        f"{STUDY.output}/logs/card.log",
    benchmark:
        f"{STUDY.output}/benchmarks/card.tsv"
    localrule: True
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        # where the checkout lies changes no result
        checkout=str(CHECKOUT),
    params:
        settings=STUDY.short("card"),
        long=STUDY.long("card"),
        folder=STUDY.folder("html"),
        data=STUDY.data,
    message:
        "Reproducibility card"
    shell:
        "manyexits card --settings {params.settings:q} --folder {params.folder:q} --data {params.data:q}"
        " --checkout {resources.checkout:q} --output {output.html:q} 2> {log:q} <<< {params.long:q}"
