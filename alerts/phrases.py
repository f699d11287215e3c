"""The words of messages, in English and Chinese: one table each, so that a translator sees all of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Phrases:
    """Formats and words of one language; `titles` by kind of change, `topics` where the key itself does not do.

    `large` are the words for powers of ten, the largest first.
    """

    prefix: str
    titles: Mapping[str, str]
    streams: Mapping[str, str]
    severities: Mapping[str, str]
    tests: Mapping[str, str]
    all_topics: str
    comma: str
    more: str
    topic: str
    name: str
    languages: str
    sources: str
    minutes: str
    hours: str
    counts: str
    ratio: str
    since: str
    lasting: str
    chance: str
    rarer: str
    large: tuple[tuple[int, str], ...]
    latest: str
    worth: str
    tally: str
    terms: str
    named: str
    worst: str
    further: str
    acknowledge: str
    silence: str
    over: str
    span: str
    chart: Mapping[str, str]
    topics: Mapping[str, str] = field(default_factory=dict)


EN = Phrases(
    prefix="Newsquake: ",
    titles={
        "fired": "negative spike {subject} ({streams})",
        "joined": "negative spike spreads to {names} ({streams})",
        "worsened": "negative spike {subject} is critical now ({streams})",
        "resolved": "negative spike {subject} is over",
        "released": "negative spike {subject} ({streams})",
        "repeated": "negative spike {subject} goes on ({streams})",
        "escalated": "nobody has taken on the negative spike {subject} ({streams})",
    },
    streams={"comment": "comments", "news": "news"},
    severities={"warning": "Warning", "critical": "Critical"},
    tests={"volume": "volume test", "share": "share test"},
    all_topics="all topics",
    comma=", ",
    more="{names} and {more} more",
    topic="in {names}",
    name="about {names}",
    languages="{subject} in {languages}",
    sources="{subject} from {sources}",
    minutes="{minutes} min",
    hours="{hours} h",
    counts="{where}: {negatives:,} negative of {messages:,} messages in {span}; {expected:.1f} expected{ratio}.",
    ratio=": {ratio:.1f} times as many",
    since="{severity} since {since} UTC{lasting}; newest minute {minute} UTC.",
    lasting=" (for {span})",
    chance="By chance alone in about 1 of {odds} such windows ({test}, p = {p}).",
    rarer="more than {odds}",
    large=((10**12, "{number:,} trillion"), (10**9, "{number:,} billion"), (10**6, "{number:,} million")),
    latest="Now: {negatives:,} negative of {messages:,} messages in the {span} up to {until} UTC.",
    worth="{counted:,} count, in {contents:,} distinct texts from {sources:,} sources: {tally}.",
    tally="{name} ({count:,})",
    terms="New in what they say: {terms}.",
    named="Most named: {tally}.",
    worst="Worst:",
    further="Look further:",
    acknowledge="Take it on:",
    silence="Silence it:",
    over="Calm since {since} UTC, after {span}; at most {peak:,} negatives in one window.\n"
    "Began {opened} UTC, closed {closed} UTC.",
    span="{hours} h {minutes} min",
    chart={"negatives": "negatives", "others": "other messages", "expected": "expected", "window": "window"},
)

ZH = Phrases(
    prefix="Newsquake：",
    titles={
        "fired": "{subject}负面情绪激增（{streams}）",
        "joined": "负面情绪扩散至{names}（{streams}）",
        "worsened": "{subject}负面情绪激增，升为严重（{streams}）",
        "resolved": "{subject}负面情绪已平息",
        "released": "{subject}负面情绪激增（{streams}）",
        "repeated": "{subject}负面情绪仍在持续（{streams}）",
        "escalated": "{subject}负面情绪激增，尚无人认领（{streams}）",
    },
    streams={"comment": "评论", "news": "新闻"},
    severities={"warning": "警告", "critical": "严重"},
    tests={"volume": "数量检验", "share": "占比检验"},
    all_topics="全部话题",
    comma="、",
    more="{names}等另 {more} 项",
    topic="{names}",
    name="“{names}”",
    languages="{subject}（仅计 {languages} 消息）",
    sources="{subject}（仅计来源 {sources}）",
    minutes="{minutes} 分钟",
    hours="{hours} 小时",
    counts="{where}：{span}内 {messages:,} 条消息中有 {negatives:,} 条负面，预期 {expected:.1f} 条{ratio}。",
    ratio="，为预期的 {ratio:.1f} 倍",
    since="{severity}，始于 {since} UTC{lasting}；最新一分钟为 {minute} UTC。",
    lasting="（已持续 {span}）",
    chance="若纯属偶然，约每 {odds}个同样的时段才有 1 个（{test}，p = {p}）。",
    rarer="超过 {odds}",
    large=((10**12, "{number:,} 万亿"), (10**8, "{number:,} 亿"), (10**4, "{number:,} 万")),
    latest="当前：截至 {until} UTC 的 {span}内，{messages:,} 条消息中有 {negatives:,} 条负面。",
    worth="其中 {counted:,} 条计入，共 {contents:,} 篇不同文本，来自 {sources:,} 个来源：{tally}。",
    tally="{name}（{count:,}）",
    terms="新出现的说法：{terms}。",
    named="提及最多：{tally}。",
    worst="最负面的消息：",
    further="进一步查询：",
    acknowledge="认领：",
    silence="静默：",
    over="自 {since} UTC 起平静，此前持续 {span}；单个时段最多 {peak:,} 条负面。\n"
    "始于 {opened} UTC，结束于 {closed} UTC。",
    span="{hours} 小时 {minutes} 分钟",
    chart={"negatives": "负面", "others": "其他消息", "expected": "预期", "window": "时段"},
    topics={
        "analyst_update": "分析师评级",
        "central_banks": "央行",
        "company_product": "公司与产品",
        "debt": "债券与债务",
        "dividend": "分红",
        "earnings": "业绩",
        "energy": "能源",
        "financials": "金融机构",
        "currencies": "外汇",
        "general": "综合新闻",
        "metals": "金属",
        "ipo": "新股发行",
        "legal_regulation": "法律与监管",
        "mergers": "并购",
        "macro": "宏观经济",
        "markets": "市场",
        "politics": "政治",
        "personnel": "人事变动",
        "stock_commentary": "股评",
        "stock_movement": "股价异动",
    },
)

PHRASES: Mapping[str, Phrases] = {"en": EN, "zh": ZH}
