"""A fake copy of eval2000 (LDC2002S09 and LDC2002T43), which two recipes test on."""

from pathlib import Path

from corpora.audio import write_sphere

SECONDS = 6.0
CALLS = ("sw_4901", "sw_4902", "en_4911", "en_4912", "en_4913")
PEM = """;; segments of a fake copy
;;
sw_4901 A unknown_speaker 0.30 2.30
sw_4901 A unknown_speaker 2.30 4.35
sw_4901 A unknown_speaker 4.40 5.10
sw_4901 A unknown_speaker 5.90 5.50
sw_4901 B unknown_speaker 0.05 1.50
sw_4901 B unknown_speaker 1.90 6.50
sw_4901 B unknown_speaker 1.90 6.50
sw_4902 A unknown_speaker 1.00 2.00
sw_4902 B unknown_speaker 1.00 3.00
sw_4903 A unknown_speaker 0.50 1.50
en_4911 A unknown_speaker 0.50 3.10
en_4911 A unknown_speaker 3.00 4.90
en_4911 B unknown_speaker 1.10 2.20
en_4912 B unknown_speaker 1.00 3.00
en_4912 B unknown_speaker 6.40 6.90
en_4913 A unknown_speaker 0.50 1.50
"""
STM = """;; references of a fake copy
;; CATEGORY "0" "" ""
;; LABEL "O" "Overall" "Overall"
;; CATEGORY "1" "Corpus" ""
;; LABEL "en" "CallHm" "CallHome"
;; LABEL "sw" "Swbd" "Switchboard"
;; CATEGORY "2" "Sex" ""
;; LABEL "F" "Female" "Female"
;; LABEL "M" "Male" "Male"
;; CATEGORY "3" "Corpus by sex" ""
;; LABEL "en-F" "CallHm F" "CallHome, female"
;; LABEL "en-M" "CallHm M" "CallHome, male"
;; LABEL "sw-F" "Swbd F" "Switchboard, female"
;; LABEL "sw-M" "Swbd M" "Switchboard, male"
en_4911 A en_4911_A 0.50 3.10 <O,en,F,en-F>  (%HESITATION) SHE DON’T (%UH) KNOW <B_ASIDE> ((WAIT) <E_ASIDE>
en_4911 A en_4911_A 3.00 4.90 <O,en,F,en-F>  { IT'S / IT IS } A (BI-) BIG WELL-KNOWN LAKE
en_4911 B en_4911_B 1.10 2.20 <O,en,M,en-M>  UH-HUH
en_4912 B en_4912_B 1.00 3.00 <O,en,M,en-M> HE HAS GONE TO THE U C Q
en_4912 B en_4912_B 3.20 3.90 <O,en,M,en-M> THE BUS
en_4912 B en_4912_B 6.40 6.90 <O,en,M,en-M> TOO LATE
en_4913 A en_4913_A 0.50 1.50 <O,en,F,en-F> NOBODY HEARS THIS
sw_4901 A sw_4901_A 0.30 2.30 <O,sw,M,sw-M>  WELL (%HESITATION) WE ARE (GO-) GOING TO ROW
sw_4901 A sw_4901_A 2.30 4.35 <O,sw,M,sw-M>  YEAH RIGHT
sw_4901 A sw_4901_A 4.40 5.10 <O,sw,M,sw-M>  IGNORE_TIME_SEGMENT_IN_SCORING
sw_4901 B sw_4901_B 0.05 1.50 <O,sw,F,sw-F>  UM-HUM
sw_4901 B sw_4901_B 1.90 6.50 <O,sw,F,sw-F>  THE OARS ARE (%HESITATION) IN THE SHED
sw_4902 A sw_4902_A 1.00 2.00 <O,sw,M,sw-M>  (%HESITATION)
sw_4902 B sw_4902_B 1.00 3.00 <O,sw,F,sw-F>
sw_4903 A sw_4903_A 0.50 1.50 <O,sw,F,sw-F> NOBODY TAPED THIS
"""
GLM = """;; fake.glm
* name "fake.glm"
* desc "rules of a fake copy"
* format = 'NIST1'
* max_nrules = '100'
* copy_no_hit = 'T'
* case_sensitive = 'F'
;;
UH-HUH   => %BCACK       / [ ] __ [ ] ;; backchannels
UM-HUM   => %BCACK       / [ ] __ [ ]
HUH-UH   => %BCNACK      / [ ] __ [ ]
UH       => %HESITATION  / [ ] __ [ ] ;; hesitations
UM       => %HESITATION  / [ ] __ [ ]
%UH      => %HESITATION  / [ ] __ [ ]
[GONNA]  => [GOING TO]   / [ ] __ [ ]
;; INPUT_DEPENDENT_APPLICATION = "ctm"
[WE'RE]  => [{WE'RE / WE ARE}]          / [ ] __ [ ]
[HE'S]   => [{HE'S / HE IS / HE HAS}]   / [ ] __ [ ]
"""


def make_eval2000(root: Path, nested: bool = True) -> list[Path]:
    """Write the copy, with the folder that only some copies have (``nested``).

    One call of each half is listed and missing, or truncated; a segment ends and one starts after the end of the audio;
    one ends before it starts, one is there twice; one is not scored, one has no words, one only a hesitation; the pem
    lacks one; two overlap, two touch, and between two are 0.05 s.
    """
    english = root / "LDC2002S09" / "hub5e_00" / "english"
    for call in CALLS:
        write_sphere(english / f"{call}.sph", SECONDS, 8000, 2, "ulaw")
    cut = english / "en_4913.sph"
    cut.write_bytes(cut.read_bytes()[:5000])
    (english / "hub5e_00.pem").write_text(PEM)
    package = root / "LDC2002T43"
    reference = (package / "2000_hub5_eng_eval_tr" if nested else package) / "reference"
    (reference / "english").mkdir(parents=True)
    (reference / "hub5e00.english.000405.stm").write_text(STM, encoding="utf-8")
    (reference / "en20000405_hub5.glm").write_text(GLM)
    (reference / "english" / "sw_4901.txt").write_text("#Language: eng\n#File id: 4901\n\n0.30 2.30 A: well, %um\n")
    return [root / "LDC2002S09", package]
