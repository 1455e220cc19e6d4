/* The publishers; the strategy is told in publishers.h. */

#include "publishers.h"

#include <stdlib.h>
#include <string.h>

#include "chance.h"
#include "trouble.h"

#define ENDS_MAX 5
#define NEVER UINT64_MAX

static const struct line_owner publisher_line;

uint32_t publisher_lines(const struct options *options, const struct speaker *speaker)
{
    return options->publishers * (speaker->one_in_flight ? options->window : 1);
}

void publishers_begin(struct publishers *pool, const struct options *options,
                      const struct speaker *speaker, struct fleet *fleet)
{
    pool->options = options;
    pool->speaker = speaker;
    pool->fleet = fleet;
    pool->count = publisher_lines(options, speaker);
    pool->window = speaker->one_in_flight ? 1 : options->window;
    pool->random = UINT64_C(0x9e3779b97f4a7c15) ^ ((uint64_t)options->seed << 20);
    pool->each = calloc(pool->count, sizeof *pool->each);
    pool->sent = calloc((size_t)options->devices * pool->count, sizeof *pool->sent);
    pool->payload = malloc(options->payload);
    if (pool->each == NULL || pool->sent == NULL || pool->payload == NULL)
        trouble("no memory for %u publishers", pool->count);
    for (uint32_t i = 0; i < options->payload; i++)
        pool->payload[i] = (uint8_t)(draw(&pool->random) >> 32);
    for (uint32_t i = 0; i < pool->count; i++) {
        pool->each[i].pool = pool;
        pool->each[i].index = i;
        pool->each[i].line.watched.fd = -1;
    }
}

static void open_line(struct publisher *publisher)
{
    const struct options *options = publisher->pool->options;
    line_connect(&publisher->line, &publisher_line, options->host,
                 (uint16_t)options->publish_port, NULL);
}

void publishers_open(struct publishers *pool)
{
    if (pool->options->publish_port == 0)
        trouble("--publish-port is needed");
    for (uint32_t i = 0; i < pool->count; i++)
        if (pool->each[i].line.state == LINE_CLOSED)
            open_line(&pool->each[i]);
}

void publisher_ready(struct publisher *publisher)
{
    if (publisher->ready)
        return;
    publisher->ready = true;
    publisher->pool->ready++;
    if (publisher->flying > 0 && publisher->resume_ns == 0) {
        /* Its line ended before the answer came: the same again. */
        publisher->pool->reopened++;
        bytes_add(&publisher->line.out, bytes_first(&publisher->request),
                  bytes_size(&publisher->request));
    }
}

static void publisher_opened(struct line *line)
{
    struct publisher *publisher = (struct publisher *)line;
    publisher->pool->speaker->publisher_greet(publisher);
    line_flush(line);
}

static size_t publisher_arrived(struct line *line, const uint8_t *data, size_t size)
{
    struct publisher *publisher = (struct publisher *)line;
    size_t used = publisher->pool->speaker->answers(publisher, data, size);
    line_flush(line);
    return used;
}

static void publisher_ended(struct line *line, const char *why)
{
    struct publisher *publisher = (struct publisher *)line;
    struct publishers *pool = publisher->pool;
    if (publisher->ready)
        pool->ready--;
    publisher->ready = false;
    if (!pool->speaker->lines_end || ++publisher->ends > ENDS_MAX)
        trouble("publisher %u: %s", publisher->index, why);
}

static const struct line_owner publisher_line = {publisher_opened, publisher_arrived,
                                                 publisher_ended};

void publisher_answered(struct publisher *publisher, uint32_t oplogs)
{
    struct publishers *pool = publisher->pool;
    pool->answered += oplogs;
    publisher->ends = 0;
    while (oplogs > 0) {
        struct flight *flight = &publisher->flights[publisher->first_flight];
        if (publisher->flying == 0)
            trouble("publisher %u: an answer to nothing", publisher->index);
        uint32_t open = flight->oplogs - flight->answered;
        uint32_t part = oplogs < open ? oplogs : open;
        flight->answered += part;
        oplogs -= part;
        if (flight->answered == flight->oplogs) {
            latency_add(&pool->answer_latency, now_ns() - flight->sent_ns);
            pool->answered_batches++;
            publisher->first_flight = (publisher->first_flight + 1) % WINDOW_MAX;
            publisher->flying--;
        }
    }
}

uint32_t publisher_awaits(const struct publisher *publisher)
{
    const struct flight *flight = &publisher->flights[publisher->first_flight];
    return publisher->flying > 0 ? flight->oplogs - flight->answered : 0;
}

void publisher_refused(struct publisher *publisher, uint64_t wait_ns)
{
    publisher->pool->refused++;
    publisher->resume_ns = now_ns() + wait_ns;
}

/* What the feed has */

void publishers_feed(struct publishers *pool, struct feed feed)
{
    feed.begun_ns = now_ns();
    pool->feed = feed;
}

static uint64_t due_ns_of(const struct feed *feed, uint64_t index)
{
    return feed->begun_ns + (uint64_t)((double)index * 1e9 / feed->rate);
}

static uint32_t least(uint64_t one, uint64_t other)
{
    return (uint32_t)(one < other ? one : other);
}

/* How many oplogs may go out in one batch now. */
static uint32_t feed_has(const struct publishers *pool, uint64_t now)
{
    const struct feed *feed = &pool->feed;
    uint32_t batch = pool->options->batch;
    switch (feed->feeding) {
    case FEED_FAST: {
        uint64_t on_the_way = pool->published - pool->fleet->delivered;
        uint32_t bound = pool->options->outstanding;
        if (feed->unwatched)
            return batch;
        /* Whole batches: a bound that is reached shall not turn into a drip of small ones. */
        batch = least(batch, bound);
        return on_the_way + batch <= bound ? batch : 0;
    }
    case FEED_RATE: {
        uint64_t due = (uint64_t)((double)(now - feed->begun_ns) * feed->rate / 1e9) + 1;
        due = least(due, feed->limit);
        return due > feed->chosen ? least(due - feed->chosen, batch) : 0;
    }
    case FEED_EACH:
        return least(feed->limit - feed->chosen, batch);
    case FEED_NOTHING:
        break;
    }
    return 0;
}

static uint64_t number_of_line(const struct publishers *pool, uint32_t index)
{
    return (uint64_t)index << NUMBER_LINE_SHIFT | (uint64_t)pool->fleet->run << NUMBER_RUN_SHIFT;
}

static void add_next(struct publishers *pool, struct publisher *publisher, uint64_t now)
{
    struct feed *feed = &pool->feed;
    uint32_t devices = pool->options->devices;
    uint64_t index = feed->chosen++;
    uint64_t stamps[2] = {feed->feeding == FEED_RATE ? due_ns_of(feed, index) : now, 0};
    uint32_t place = feed->feeding == FEED_EACH ? (uint32_t)(index % devices)
                                                : draw_below(&pool->random, devices);
    stamps[1] = ++pool->sent[(size_t)place * pool->count + publisher->index];
    stamps[1] |= number_of_line(pool, publisher->index);
    memcpy(pool->payload, stamps, sizeof stamps);
    pool->speaker->add(publisher, pool->options->first + place, pool->payload);
}

static struct flight *begin_flight(struct publisher *publisher, uint32_t oplogs, uint64_t now)
{
    uint32_t place = (publisher->first_flight + publisher->flying) % WINDOW_MAX;
    publisher->flying++;
    publisher->adding = 0;
    publisher->flights[place] = (struct flight){now, oplogs, 0};
    publisher->pool->speaker->begin(publisher, oplogs);
    return &publisher->flights[place];
}

static bool is_free(struct publisher *publisher, uint64_t now)
{
    struct publishers *pool = publisher->pool;
    if (publisher->line.state == LINE_CLOSED && pool->speaker->lines_end)
        open_line(publisher);
    if (publisher->resume_ns != 0 && publisher->ready && publisher->resume_ns <= now) {
        publisher->resume_ns = 0;
        bytes_add(&publisher->line.out, bytes_first(&publisher->request),
                  bytes_size(&publisher->request));
        line_flush(&publisher->line);
    }
    return publisher->ready && publisher->flying < pool->window;
}

void publishers_turn(struct publishers *pool, uint64_t now)
{
    if (pool->feed.feeding == FEED_NOTHING && publishers_in_flight(pool) == 0)
        return;
    for (uint32_t tried = 0; tried < pool->count; tried++) {
        struct publisher *publisher = &pool->each[pool->next];
        pool->next = (pool->next + 1) % pool->count;
        uint32_t oplogs;
        while (is_free(publisher, now) && (oplogs = feed_has(pool, now)) > 0) {
            begin_flight(publisher, oplogs, now);
            for (uint32_t i = 0; i < oplogs; i++)
                add_next(pool, publisher, now);
            pool->published += oplogs;
            pool->speaker->end(publisher);
            line_flush(&publisher->line);
        }
    }
}

uint64_t publishers_next_due_ns(const struct publishers *pool)
{
    const struct feed *feed = &pool->feed;
    uint64_t due = NEVER;
    for (uint32_t i = 0; i < pool->count; i++) {
        const struct publisher *publisher = &pool->each[i];
        if (publisher->resume_ns != 0 && publisher->resume_ns < due)
            due = publisher->resume_ns;
        /* With no line free, it is an answer that makes the next turn. */
        if (publisher->ready && publisher->flying < pool->window && feed->feeding == FEED_RATE &&
            feed->chosen < feed->limit && due_ns_of(feed, feed->chosen) < due)
            due = due_ns_of(feed, feed->chosen);
    }
    return due;
}

bool publish_to_everyone(struct publishers *pool)
{
    uint64_t now = now_ns(), stamps[2] = {now, number_of_line(pool, pool->count)};
    for (uint32_t i = 0; i < pool->count; i++) {
        struct publisher *publisher = &pool->each[i];
        if (!is_free(publisher, now))
            continue;
        begin_flight(publisher, 1, now);
        stamps[1] |= ++pool->sent_everyone;
        memcpy(pool->payload, stamps, sizeof stamps);
        pool->speaker->add(publisher, EVERYONE, pool->payload);
        pool->speaker->end(publisher);
        line_flush(&publisher->line);
        return true;
    }
    return false;
}

uint32_t publishers_in_flight(const struct publishers *pool)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < pool->count; i++)
        sum += pool->each[i].flying;
    return sum;
}

void publishers_forget_figures(struct publishers *pool)
{
    pool->published = pool->answered = pool->answered_batches = 0;
    pool->refused = pool->reopened = 0;
    memset(&pool->answer_latency, 0, sizeof pool->answer_latency);
}
