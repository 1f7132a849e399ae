"""The events of the demo news: topic, sentiment, and the ways to say it. See news.py for the notation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    topic: str
    sentiment: str
    phrasings: tuple[str, ...]


EVENTS = (
    Event('earnings', 'positive', (
        '{c} [reports|posts] a {percent} [rise|jump|gain] in {quarter} [profit|sales].',
        '[Profit|Sales|Revenue] at {c} [rose|climbed|grew] {percent} in the {quarter}.',
        '{c} [beats|tops] forecasts [as|after] {goods} sell [well|fast].',
        'Strong demand for {goods} lifts [profit|sales] at {c} by {percent}.',
        '{c} [returns to profit|swings to a profit] of {money} {when}.',
    )),
    Event('earnings', 'negative', (
        '{c} [reports|posts] a {percent} [fall|drop|slide] in {quarter} [profit|sales].',
        '[Profit|Sales|Revenue] at {c} [fell|sank|shrank] {percent} in the {quarter}.',
        '{c} [misses|falls short of] forecasts [as|after] {goods} sell [badly|slowly].',
        'Weak demand for {goods} cuts [profit|sales] at {c} by {percent}.',
        '{c} [sinks to|swings to|reports] a loss of {money} {when}.',
    )),
    Event('earnings', 'neutral', (
        '{c} [reports|posts] {quarter} [profit|sales] in line with forecasts.',
        '[Profit|Sales|Revenue] at {c} [did not change|stayed the same] in the {quarter}.',
        '{c} will publish its {quarter} [results|figures] on {day}.',
        '{c} [meets|matches] forecasts [as|with] sales of {goods} [hold steady|stay the same].',
    )),
    Event('outlook', 'positive', (
        '{c} [raises|lifts] its [profit|sales] [outlook|forecast] for the year.',
        '{c} now [expects|sees] [profit|sales] {percent} [higher|above plan] this year.',
        'The {quarter} will be better than planned, [says {c}|{c} says].',
    )),
    Event('outlook', 'negative', (
        '{c} [cuts|lowers] its [profit|sales] [outlook|forecast] for the year.',
        '{c} now [expects|sees] [profit|sales] {percent} [lower|below plan] this year.',
        'The {quarter} will be worse than planned, [says {c}|{c} says].',
        '{c} [warns of|fears] [weaker|lower] [profit|sales] {when}.',
    )),
    Event('outlook', 'neutral', (
        '{c} [keeps|repeats] its [profit|sales] [outlook|forecast] for the year.',
        '{c} still [expects|sees] the same [profit|sales] as last year.',
        'The {quarter} will be as planned, [says {c}|{c} says].',
    )),
    Event('contract', 'positive', (
        '{c} [wins|lands|gets] a {money} [contract|order|deal] [for {goods}|from {d}] {when}.',
        '{d} [picks|chooses] {c} to supply {goods} [in {country}|].',
        '{c} will [sell|supply] {goods} to {client} in a new {money} deal.',
        'A big order from {client} goes to {c} {when}.',
    )),
    Event('contract', 'negative', (
        '{c} [loses|misses out on] a {money} [contract|order|deal] [for {goods}|with {d}] {when}.',
        '{d} [drops|leaves] {c} [as its source of {goods}|and will buy {goods} elsewhere].',
        '{client} [cancel|drop] a {money} order [for {goods} from|with] {c}.',
        'A big order from {client} goes to a rival of {c}.',
    )),
    Event('contract', 'neutral', (
        '{c} [renews|extends] its [contract|deal] with {d} on the same terms.',
        '{c} [is one of {few} firms bidding|bids] for a contract [in {country}|with {d}].',
        '{d} will choose [a seller|a source] of {goods} in {month}, says {c}.',
    )),
    Event('jobs', 'positive', (
        '{c} [hires|will hire|plans to hire] {count} [workers|people] [at its {site}|in {country}].',
        '{c} [adds|creates] {count} jobs to [keep up with demand|make more {goods}].',
        '{count} new jobs [come to|are planned at] the {c} {site} {when}.',
    )),
    Event('jobs', 'negative', (
        '{c} [lays off|will lay off|plans to lay off] {count} [workers|people] [at its {site}|in {country}].',
        '{c} [cuts|sheds] {count} jobs [to save cash|as demand for {goods} falls].',
        '{count} jobs [go|will be lost] at the {c} {site} {when}.',
        'Workers at {c} [strike|walk out] [over pay|over safety] {when}.',
    )),
    Event('jobs', 'neutral', (
        '{c} keeps its staff at {count} [workers|people] [this year|in {country}].',
        '{c} moves {count} [workers|jobs] from one {site} to another.',
        '{c} names {person} as head of [staff|its {site}|sales] {when}.',
    )),
    Event('product', 'positive', (
        '{c} [launches|unveils|starts selling] [a new|its first] {product} {when}.',
        'The new {product} from {c} [sells out|wins praise|is a hit] {when}.',
        '{client} [praise|welcome|like] the new {product} from {c}.',
        '{c} opens a {money} {site} [in {country}|to make more {goods}].',
    )),
    Event('product', 'negative', (
        '{c} [delays|scraps|puts off] its [new|next] {product} {when}.',
        'The new {product} from {c} [flops|sells badly|fails its tests] {when}.',
        '{client} [complain about|reject|dislike] the new {product} from {c}.',
        '{c} [shuts|closes] [a|its] {site} in {country} {when}.',
    )),
    Event('product', 'neutral', (
        '{c} will show its [new|next] {product} at a fair in {country}.',
        '{c} [renames|gives a new name to] its {product} {when}.',
        '{c} keeps the price of its {product} [as it is|the same] {when}.',
    )),
    Event('recall', 'negative', (
        '{c} recalls {count} {goods} [after faults|after {few} fires|over safety fears].',
        'Fault in {product} forces {c} into a recall {when}.',
        'A fire [shuts|damages] the {c} {site} in {country}.',
        '{c} [stops|halts] sales of its {product} [over a fault|after complaints].',
    )),
    Event('recall', 'positive', (
        '{c} [fixes|solves] the fault in its {product} [early|for good] {when}.',
        'The {product} from {c} [is safe|passes all tests] {when}.',
        '{c} [restarts|resumes] sales of its {product} after a fix.',
    )),
    Event('lawsuit', 'negative', (
        '{d} sues {c} [over {goods}|for {money}] {when}.',
        '{c} [is fined|must pay|loses a case and must pay] {money} [over its {product}|by a court] {when}.',
        'Court [rules against|fines] {c} in case [over {goods}|brought by {d}].',
        'Police [search|raid] the {c} {site} [in a fraud case|over a leak] {when}.',
    )),
    Event('lawsuit', 'positive', (
        '{d} drops its [lawsuit|case] against {c} {when}.',
        '{c} [wins|will get] {money} [in a case against|from] {d} [in court|after lawsuit] {when}.',
        'Court [rules for|backs|clears] {c} in case [over {goods}|brought by {d}].',
    )),
    Event('lawsuit', 'neutral', (
        'Court [will hear|sets a date for] the case of {c} and {d} in {month}.',
        'The case between {c} and {d} [moves|goes] to a court in {country}.',
        'Judge {person} will hear the {c} case {when}.',
    )),
    Event('merger', 'positive', (
        '{d} [offers|agrees] to buy {c} [at a high price|for {money}, well above its value].',
        '{c} [wins approval|gets the go-ahead] to [buy|merge with] {d} {when}.',
        '{c} [gains|rises] as {d} [raises|lifts] its [bid|offer] to {money}.',
    )),
    Event('merger', 'negative', (
        '{d} [walks away from|ends talks on|drops] its [bid|offer] for {c} {when}.',
        '{c} [is barred from buying|fails to buy|may not buy] {d} {when}.',
        'The [merger|deal] of {c} and {d} [collapses|falls apart] {when}.',
    )),
    Event('merger', 'neutral', (
        '{c} and {d} [hold|are in|go on with] merger talks {when}.',
        '{c} says it has no plan to [buy|merge with] {d}.',
        'Owners of {c} will vote on the {d} [merger|deal] in {month}.',
    )),
    Event('rating', 'positive', (
        '{d} [upgrades|raises its rating of] {c} to buy {when}.',
        'Analysts [lift|raise] [price targets|ratings] for {c} [after|on] [good|strong] sales of {goods}.',
        '{c} [gets|wins] a better credit rating {when}.',
    )),
    Event('rating', 'negative', (
        '{d} [downgrades|lowers its rating of] {c} to sell {when}.',
        'Analysts [cut|lower] [price targets|ratings] for {c} [after|on] [poor|weak] sales of {goods}.',
        '{c} [gets|is given] a worse credit rating {when}.',
    )),
    Event('rating', 'neutral', (
        '{d} [keeps|leaves] its rating of {c} at hold {when}.',
        'Analysts [keep|leave] [price targets|ratings] for {c} as they are {when}.',
        '{d} starts to cover {c} with a hold rating.',
    )),
    Event('dividend', 'positive', (
        '{c} [raises|lifts] its dividend by {percent} {when}.',
        '{c} will pay [an extra|its first] dividend [of {money}|in {month}].',
        '{c} [will buy back|buys back] {money} of its own stock.',
    )),
    Event('dividend', 'negative', (
        '{c} [cuts|lowers] its dividend by {percent} {when}.',
        '{c} will [pay no dividend|skip its dividend] [this year|in {month}].',
        '{c} [misses a debt payment|fails to repay debt|cannot repay debt] of {money}.',
    )),
    Event('dividend', 'neutral', (
        "{c} [keeps|leaves] its dividend [as it is|unchanged|at last year's level] {when}.",
        '{c} will pay its [usual|yearly] dividend in {month}.',
        '{c} sets {day} as the [date|day] for its dividend.',
    )),
    Event('security', 'negative', (
        'Hackers [steal|leak] data of {count} [clients|customers] of {c}.',
        '{c} [shuts its web site|loses data] after [an attack|a hack] {when}.',
        'A [leak|data leak] at {c} [angers|worries] {client} {when}.',
    )),
    Event('approval', 'positive', (
        '{country} [approves|clears] the {product} of {c} {when}.',
        '{c} [gets|wins] [approval|a licence] to sell {goods} in {country}.',
        'Regulators [allow|let] {c} [to open|open] a {site} in {country}.',
    )),
    Event('approval', 'negative', (
        '{country} [bans|rejects] the {product} of {c} {when}.',
        '{c} [loses|is refused] [approval|a licence] to sell {goods} in {country}.',
        'Regulators [stop|bar] {c} from opening a {site} in {country}.',
    )),
    Event('approval', 'neutral', (
        '{country} will [review|look at] the {product} of {c} in {month}.',
        '{c} [asks for|applies for] [approval|a licence] to sell {goods} in {country}.',
        'Regulators need more time to [review|study] a {c} {site}.',
    )),
    Event('company', 'neutral', (
        '{c} will hold its yearly meeting [on {day}|in {country}|in {month}].',
        '{c} moves its head office to {country} {when}.',
        '{c} names {person} to its board {when}.',
        '{person} of {c} will speak at a fair in {country}.',
        '{c} [paints|cleans] its {site} [as planned|as it does each year] {when}.',
    )),
)

# Clauses that now and then end a sentence and change nothing about its sentiment.
ATTRIBUTIONS = (', sources say', ', a report says', ', it says', ', {person} said')

# Second sentences of longer items, by the sentiment of the first. They occur in the pretraining text alone.
FOLLOW_UPS = {
    'positive': (
        'The [shares|stock] [rose|gained|climbed] {percent}.',
        'Investors [cheered|welcomed] the news.',
        '"We are [pleased|proud]," said {person}, head of {c}.',
        'Traders had [hoped for|expected] less.',
        'The [stock|share price] hit a [one-year|record] high on {day}.',
    ),
    'negative': (
        'The [shares|stock] [fell|lost|dropped] {percent}.',
        'Investors [were worried|took fright] at the news.',
        '"This is [painful|a setback]," said {person}, head of {c}.',
        'Traders had [hoped for|expected] more.',
        'The [stock|share price] hit a [one-year|record] low on {day}.',
    ),
    'neutral': (
        'The [shares|stock] [hardly moved|did not move|stayed flat].',
        'Investors [took little notice|saw no news in it].',
        '"There is [nothing new|no change]," said {person}, head of {c}.',
        'Traders had expected [just that|as much].',
        'The [stock|share price] was unchanged on {day}.',
    ),
}

# General items of the pretraining text. The label words occur here in other senses, so that the base knows them as
# words but has never seen them as the answer to a question about sentiment.
BACKGROUND = (
    '{c} [plans|wants|aims] to be carbon neutral by {year}.',
    '{country} stays neutral in the trade talks with {country}.',
    'The [test|tests] at the {c} {site} came back [positive|negative] {when}.',
    'Interest rates in {country} [stay|turn|are] [positive|negative|neutral] {when}.',
    'The {c} {site} in {country} makes {goods} for {client}.',
    '{c} was founded by {person} and sells {goods} to {client} in {country}.',
    'Rain [fell|is expected] in {country} on {day}.',
    'Prices of {goods} in {country} [rose|fell] {percent} in {month}.',
    '{person}, a [trader|farmer|driver|nurse] in {country}, buys {goods} from {c}.',
    'The central bank of {country} [raised|cut|kept] its rate {when}.',
)
