"""Words in capitals: initialisms are spelt (BBC), acronyms and emphasised words are words (NASA, HELP)."""

from __future__ import annotations

import functools
import re

from common.text.english.pronunciations import find_dictionary, is_spelt, read_dictionary

_ACRONYM = re.compile(r"(?<!\w)(?<!\w')([A-Z]{2,})('?s)?(?!\w|'[A-Z])")
_CAPITAL_WORD = r"[A-Z]+(?:'[A-Z]+)?"
# Several words in capitals, with punctuation between them.
_RUN = re.compile(rf"(?<![\w.'])(?:{_CAPITAL_WORD}[,;:!?]?[ -]){{1,60}}{_CAPITAL_WORD}(?![\w]|'[a-z]|\.[A-Z])")
_WORD = re.compile(_CAPITAL_WORD)
# Longer runs of capitals are ordinary words, not acronyms.
_LONGEST_ACRONYM = 6
_SPELT_IN_PART = {
    "NVIDIA": "N.VIDIA",
    "JPEG": "J.peg",
    "MPEG": "M.peg",
    "MSDOS": "M.S. dos",
    "CDROM": "C.D. rom",
    "NOAA": "noah",
    "FTSE": "footsie",
}
_EMAIL = re.compile(r"\b(e)(?=mail(?:s|ed|ing)?\b)", re.IGNORECASE)

_SPOKEN_AS_WORDS = frozenset(
    (
        "AIDS ASAP ASEAN AWOL BASIC BREXIT CAT COBOL COVID DARPA DOS ERISA FEMA FIFA FOMO GIF GUI HIPAA HUD IKEA "
        "LASER LEGO LIDAR MIDI MOMA NAFTA NASA NASDAQ NATO NIMBY NOAA OPEC OSHA PIN POTUS RADAR RAM ROM SAG SARS "
        "SCOTUS SCUBA SIM SONAR SOWETO SPAM STEM SWAT TASER TED UEFA UNESCO UNICEF VIP WASP YOLO ZIP WYSIWYG YAML "
        "NAND MERS NICAP FLOTUS GAAP EBITDA LIBOR FICA MENSA ICANN NORAD SALT START NASCAR GEICO QANTAS FIAT SAAB "
        "AMTRAK CAPTCHA CERN ESA TOEFL README MAX PETA FOIA SOFIA OPEC BAFTA MASH WOKE NERF JSON NUMA CUDA SEAL SEALS "
        "REIT ROTC HEPA RICO BOGO"
    ).split()
) - {"VIP", "ESA", "SALT"}
# Also words or names of the dictionary, but in capitals read as letters.
_SPELT = frozenset(
    (
        "US AM PM TV UK EU UN AI IT ID OK PC CD DJ MC MD PA PR HR QA AC DC IP OS UV RV GP MP PE AP BA MA MS MR CEO "
        "CFO COO CTO LED SAT ACT DOE DOJ EPA SEC CIA FBI IRS ETA ADD APR AGM ATM BBC BMW CBS CNN NBC ABC NBA NFL NHL "
        "MLB MIT DNA RNA GPS GDP GNP IPO ISP FAQ FYI HIV HMO IBM IMF IRA IUD JFK LSD LA MBA MIA MRI NGO NRA NYC PBS "
        "PDF PHD POW PVC RIP ROI SOS SUV TNT TSA UFO UPS URL USA USB VAT VCR VIP WHO WTO WWF XML AAA ACLU AOL API ASP "
        "CAD CAM CPA CSI CSS DIY DVD ECB EKG ERA ESA ESL FDA FHA GED GMO GOP GMT HBO HDMI HTML HTTP ICU IOU IPCC IQ "
        "ISBN ISO KFC KGB LCD LLC LLP LNG LPG MCAT NAACP NCAA NIH NSA NSF NYPD LAPD OCD OECD OEM PTA PTSD RBI RNC DNC "
        "RSVP SQL SSN STD TBA TBD TLC UAE UCLA UHF USDA USPS UTC VHF VPN WWE YMCA YWCA ADHD AARP ASPCA ESPN FAA FCC "
        "FTC FDIC ANC ABS ADA AMA APA ANA AMC AMD ARM BA BAA BAE BAR CAP CBC CDO CEC CHI CIS CMA CMO CPI CPR CPU DEA "
        "DMV EMT ENT EST EDT PST PDT CST CDT CET FAO GAO GPU GRE HDD SSD SDK IDE IEEE IED INS IPA IPR ITV KKK LAN LED "
        "LGBT MEP MOT MPA MSC NDA NPR OTC PAC PAYE PCR PGA PPE PSA PPI RAF RPM SPA TA TAR TB UDA UPC VA VC VOA WAN "
        "WMD AA AAP ADM AED AIG ALS ARC ASA ASL ATF ATV AWS BCE CE BC AD BLM BLT BSA CAA CAB CAR CASE CBD CCTV CDC "
        "CFC CGI CMS CNC COD COLA CRM CRT DAB DAM DAR DHL DIM DOB DOD DOT DUI DWI EIA EIS ELO EMI EMS EOS ERP ESG ETF "
        "EV EVA GCSE GIS HGV HIS IAEA ICC ICE ICT IFC ILO IOC IRC IRR ITT IVF"
    ).split()
) - frozenset("BAR CAP CAR CASE CAB DAM DIM HIS TAR ICE ARM ADD CAT ACT SPA COLA ARC DAB DOT PAC INS CAM EVA".split())
# Two and three letters, which are words in capitals too. Of these, only common words are no initialisms.
_SHORT_WORDS = frozenset(
    (
        "AM AN AS AT BE BY DO GO HE HI IF IN IS IT ME MY NO OF OH ON OR OUR SO TO UP US WE YE AH HA HO HM ACT ADD AGE "
        "AGO AID AIM AIR ALL AND ANY ARE ARM ART ASK ATE BAD BAG BAN BAR BAT BED BEE BET BIG BIT BOX BOY BUG BUS BUT "
        "BUY CAN CAP CAR CAT COP COW CRY CUP CUT DAD DAY DEN DID DIE DIG DIM DOG DOT DRY DUE EAR EAT EGG END EYE FAN "
        "FAR FAT FEW FIT FIX FLY FOG FOR FOX FUN GAP GAS GET GOD GOT GUN GUY HAD HAS HAT HER HEY HIM HIS HIT HOT HOW "
        "HUG ICE ILL INK INN ITS JET JOB JOY KEY KID LAW LAY LEG LET LIE LIP LOT LOW MAD MAN MAP MAY MEN MET MIX MOM "
        "MUD NET NEW NOR NOT NOW NUT ODD OFF OIL OLD ONE OUT OWE OWN PAN PAY PEN PET PIE PIG PIN PIT POT PUT RAN RAT "
        "RAW RED RID ROW RUN SAD SAW SAY SEA SEE SET SEX SHE SHY SIR SIT SIX SKY SON SPY SUN TAX TEA TEN THE TIE TIP "
        "TOE TON TOO TOP TOY TRY TWO USE VAN WAR WAS WAY WET WHO WHY WIN WON YES YET YOU ZOO BOMB ROB CAM EVE CAB "
        "COLA DAM TAR SPA PAC DAB INS"
    ).split()
) - {"INS"}
_TRADE_BEFORE = re.compile(r"\b(?:the|an|our|their|your|its|in|of|and|&|The|An|Our)\s$")
_TRADE_AFTER = re.compile(
    r"\s(?:departments?|teams?|staff|support|managers?|workers?|compan(?:y|ies)|giants?|services|sector|systems?|"
    r"infrastructure|professionals?|industry|jobs?|budgets?|security|specialists?|consultants?|firms?|skills)\b"
)
_WHO_BEFORE = re.compile(r"\b(?:[Tt]he|[Bb]y)\s$")
_VERB_OF_SPEECH = re.compile(
    r"\s(?:said|says|has|warn(?:s|ed)|declared?s?|officials?|director|report(?:s|ed)?|guidelines|data|recommends)\b"
)
_VOWELS = frozenset("AEIOUY")


def spell_acronyms(text: str) -> str:
    """BBC -> B.B.C., TVs -> T.V.'s, NASA -> nasa. Words and headlines in capitals become lower case."""
    text = _RUN.sub(_lower_run, text)
    return _EMAIL.sub(r"\1-", _ACRONYM.sub(_spell_acronym, text))


def _is_dictionary_word(word: str) -> bool:
    """Return whether a word in capitals is a word on its own: the dictionary has many initialisms of three letters."""
    return word in _SHORT_WORDS if len(word) < 4 else _is_in_dictionary(word)


@functools.lru_cache(maxsize=4096)  # bounded, since servers read the texts of others
def _is_in_dictionary(word: str) -> bool:
    """Return whether the dictionary has a word, and does not spell it."""
    entries = read_dictionary(find_dictionary())
    if word in _SPELT_IN_PART:
        return False
    found = entries.get(word, entries.get(word[:-1]) if word.endswith("S") and len(word) > 4 else None)
    return found is not None and not is_spelt(word, found)


def _is_word(word: str) -> bool:
    return word in _SPOKEN_AS_WORDS or (word not in _SPELT and _is_dictionary_word(word))


def _lower_run(match: re.Match[str]) -> str:
    """Lower the words of a run in capitals, if most are words. Initialisms in it stay capitals."""
    words = _WORD.findall(match[0])
    long_words = [word for word in words if len(word) > 1]
    known = [_is_dictionary_word(_stem(word)) or len(_stem(word)) > _LONGEST_ACRONYM for word in long_words]
    if (
        len(long_words) < 1
        or (sum(known) < 2 and not (sum(known) == 1 and len(words) == 2 and "I" in words))
        or sum(known) * 2 < len(long_words)
    ):
        return match[0]
    is_headline = len(words) > 2

    def lower(found: re.Match[str]) -> str:
        word, stem = found[0], _stem(found[0])
        if word == "US":  # at the beginning or after "THE", the country
            return word if found.start() == 0 or found.string[: found.start()].endswith("THE ") else word.lower()
        if len(stem) > 1 and stem in _SPELT and not (stem in _SHORT_WORDS and is_headline) and stem not in ("AM", "IT"):
            return word
        if word == "I" or stem in _SPELT_IN_PART:
            return word
        if len(stem) == 1 or _is_dictionary_word(stem) or stem in _SPOKEN_AS_WORDS or len(stem) > _LONGEST_ACRONYM:
            return word.lower()
        in_headline = (len(stem) > 3 and not _VOWELS.isdisjoint(stem)) or _is_in_dictionary(stem)
        return word.lower() if is_headline and in_headline else word

    return _WORD.sub(lower, match[0])


def _stem(word: str) -> str:
    return word.partition("'")[0]


def _spell_acronym(match: re.Match[str]) -> str:
    letters, ending = match[1], match[2] or ""
    text = match.string
    before = text[max(0, match.start() - 12) : match.start()]
    if letters in _SPELT_IN_PART:
        return _SPELT_IN_PART[letters] + ending
    is_word = len(letters) > _LONGEST_ACRONYM or _is_word(letters)
    if letters == "IT":
        is_word = not (_TRADE_BEFORE.search(before) or _TRADE_AFTER.match(text, match.end()))
    elif letters == "AM":
        is_word = bool(re.search(r"\bI $", before))
    elif letters == "WHO":
        is_word = not (_WHO_BEFORE.search(before) or _VERB_OF_SPEECH.match(text, match.end()))
    if is_word:
        return letters.lower() + ending
    # An apostrophe separates the ending. A following full stop is not doubled.
    stop = "" if not ending and text.startswith(".", match.end()) else "."
    return ".".join(letters) + stop + (f"'{ending.lstrip(chr(39))}" if ending else "")
