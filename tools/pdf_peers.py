"""Markdown of other PDF converters, for `pdf_score DATA --markdown OUT/TOOL`.

    python tools/pdf_peers.py TOOL DATA OUT [--set jats_pairs ...]

TOOL is `pymupdf4llm`, `docling` (with its layout and table models, which it takes from Hugging Face) or
`docling_native` (its pipeline without models: the lines of docling-parse as they come, no headings and no tables).
Seconds per file are written to OUT/TOOL/seconds.json.
"""

import argparse
import json
import time
from pathlib import Path


def pymupdf4llm():
    import pymupdf4llm as tool

    return lambda path: tool.to_markdown(str(path))


def docling():
    from docling.datamodel.base_models import InputFormat
    from docling.datamodel.pipeline_options import PdfPipelineOptions
    from docling.document_converter import DocumentConverter, PdfFormatOption

    options = PdfPipelineOptions(do_ocr=False)
    converter = DocumentConverter(format_options={InputFormat.PDF: PdfFormatOption(pipeline_options=options)})
    return lambda path: converter.convert(path).document.export_to_markdown()


def docling_native():
    from docling.datamodel.base_models import InputFormat
    from docling.datamodel.pipeline_options import NativePdfPipelineOptions
    from docling.document_converter import DocumentConverter, NativePdfFormatOption

    options = NativePdfPipelineOptions(parser_threads=1, generate_picture_images=False)
    converter = DocumentConverter(format_options={InputFormat.PDF: NativePdfFormatOption(pipeline_options=options)})
    return lambda path: converter.convert(path).document.export_to_markdown()


TOOLS = {"pymupdf4llm": pymupdf4llm, "docling": docling, "docling_native": docling_native}
SETS = {"jats_pairs": "*/fulltext.pdf", "icdar2013": "*/*.pdf", "olmocr_bench": "pdfs/**/*.pdf"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tool", choices=TOOLS)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", nargs="*", choices=SETS, default=list(SETS))
    arguments = parser.parse_args()
    convert = TOOLS[arguments.tool]()
    seconds = {}
    for name in arguments.set:
        folder = arguments.out / arguments.tool / name
        folder.mkdir(parents=True, exist_ok=True)
        for pdf in sorted((arguments.data / name).glob(SETS[name])):
            stem = pdf.parent.name if pdf.stem == "fulltext" else pdf.stem
            start = time.perf_counter()
            try:
                text = convert(pdf)
            except Exception as error:
                print(f"{name}/{stem}: {type(error).__name__}: {error}")
                continue
            seconds[f"{name}/{stem}"] = round(time.perf_counter() - start, 3)
            (folder / f"{stem}.md").write_text(text, encoding="utf-8")
    (arguments.out / arguments.tool / "seconds.json").write_text(json.dumps(seconds, indent=1))


if __name__ == "__main__":
    main()
