// An inference core for int8 and packed int6 layers: 16 x 16 multiply-accumulates a cycle into
// int32, requantised as the Cortex Virtual Machine does. Registers by AXI4-Lite, memory by an
// AXI4 master of 64 bits whose bursts also suit the AXI3 ports of a Zynq-7000.
module farmcore #(
    parameter integer POSITION_BITS = 17,  // feature buffer: 2^17 bytes
    parameter integer STEP_BITS     = 13   // steps of one tile: 2^13
) (
    input  wire        clock,
    input  wire        resetn,
    input  wire [5:0]  s_axi_awaddr,
    input  wire        s_axi_awvalid,
    output wire        s_axi_awready,
    input  wire [31:0] s_axi_wdata,
    input  wire        s_axi_wvalid,
    output wire        s_axi_wready,
    output wire [1:0]  s_axi_bresp,
    output wire        s_axi_bvalid,
    input  wire        s_axi_bready,
    input  wire [5:0]  s_axi_araddr,
    input  wire        s_axi_arvalid,
    output wire        s_axi_arready,
    output wire [31:0] s_axi_rdata,
    output wire [1:0]  s_axi_rresp,
    output wire        s_axi_rvalid,
    input  wire        s_axi_rready,
    output wire [31:0] m_axi_araddr,
    output wire [7:0]  m_axi_arlen,
    output wire [2:0]  m_axi_arsize,
    output wire [1:0]  m_axi_arburst,
    output wire        m_axi_arvalid,
    input  wire        m_axi_arready,
    input  wire [63:0] m_axi_rdata,
    input  wire [1:0]  m_axi_rresp,
    input  wire        m_axi_rlast,
    input  wire        m_axi_rvalid,
    output wire        m_axi_rready,
    output wire [31:0] m_axi_awaddr,
    output wire [7:0]  m_axi_awlen,
    output wire [2:0]  m_axi_awsize,
    output wire [1:0]  m_axi_awburst,
    output wire        m_axi_awvalid,
    input  wire        m_axi_awready,
    output wire [63:0] m_axi_wdata,
    output wire [7:0]  m_axi_wstrb,
    output wire        m_axi_wlast,
    output wire        m_axi_wvalid,
    input  wire        m_axi_wready,
    input  wire [1:0]  m_axi_bresp,
    input  wire        m_axi_bvalid,
    output wire        m_axi_bready
);
    localparam integer ROWS = 16;
    localparam integer PAIRS = 8;

    assign s_axi_bresp = 2'b00;
    assign s_axi_rresp = 2'b00;
    assign {m_axi_arlen, m_axi_arsize, m_axi_arburst} = {8'd15, 3'd3, 2'b01};
    assign {m_axi_awlen, m_axi_awsize, m_axi_awburst} = {8'd15, 3'd3, 2'b01};
    assign m_axi_wstrb = 8'hff;

    wire reset = !resetn;

    // Control
    wire        start, busy, finished, malformed, read_failed, write_failed;
    wire [31:0] descriptor, descriptors_done;
    wire        step_valid;

    registers #(
        .FEATURE_BYTES(32'd1 << POSITION_BITS), .MOST_STEPS(32'd1 << STEP_BITS)
    ) control (
        .clock(clock), .reset(reset),
        .s_axi_awaddr(s_axi_awaddr), .s_axi_awvalid(s_axi_awvalid),
        .s_axi_awready(s_axi_awready), .s_axi_wdata(s_axi_wdata), .s_axi_wvalid(s_axi_wvalid),
        .s_axi_wready(s_axi_wready), .s_axi_bvalid(s_axi_bvalid), .s_axi_bready(s_axi_bready),
        .s_axi_araddr(s_axi_araddr), .s_axi_arvalid(s_axi_arvalid),
        .s_axi_arready(s_axi_arready), .s_axi_rdata(s_axi_rdata), .s_axi_rvalid(s_axi_rvalid),
        .s_axi_rready(s_axi_rready),
        .start(start), .descriptor(descriptor), .busy(busy), .finished(finished),
        .failures({write_failed, read_failed, malformed}), .worked(step_valid),
        .beat_read(beat_valid), .beat_written(m_axi_wvalid && m_axi_wready),
        .descriptors_done(descriptors_done)
    );

    // Memory in
    wire        request, reader_idle, beat_valid;
    wire [31:0] address;
    wire [15:0] bursts;
    wire [63:0] beat;

    reader memory_in (
        .clock(clock), .reset(reset), .request(request), .address(address), .bursts(bursts),
        .idle(reader_idle), .beat_valid(beat_valid), .beat(beat), .failed(read_failed),
        .m_axi_araddr(m_axi_araddr), .m_axi_arvalid(m_axi_arvalid),
        .m_axi_arready(m_axi_arready), .m_axi_rdata(m_axi_rdata), .m_axi_rresp(m_axi_rresp),
        .m_axi_rlast(m_axi_rlast), .m_axi_rvalid(m_axi_rvalid), .m_axi_rready(m_axi_rready)
    );

    // The sequence of work
    wire loads_features, loads_offsets, loads_weights, load_begins, packed_six;
    wire [15:0] beat_number, channel_tiles, position_tiles;
    wire [1:0]  weights_tile, bank_full;
    wire        feed, wide, release_bank, bank, feeding;
    wire [STEP_BITS:0]       steps;
    wire [POSITION_BITS-1:0] base;
    wire [31:0] output_address, lowest, highest;
    wire [4:0]  shift_bits;
    wire        requantising, writer_idle;

    sequencer #(.POSITION_BITS(POSITION_BITS), .STEP_BITS(STEP_BITS)) sequence_of_work (
        .clock(clock), .reset(reset), .start(start), .first_descriptor(descriptor), .busy(busy),
        .finished(finished), .malformed(malformed), .descriptors_done(descriptors_done),
        .request(request), .address(address), .bursts(bursts), .reader_idle(reader_idle),
        .beat_valid(beat_valid), .beat(beat), .loads_features(loads_features),
        .loads_offsets(loads_offsets), .loads_weights(loads_weights),
        .load_begins(load_begins), .packed_six(packed_six), .beat_number(beat_number),
        .weights_tile(weights_tile), .feed(feed), .steps(steps), .channel_tiles(channel_tiles),
        .position_tiles(position_tiles), .base(base), .output_address(output_address),
        .shift_bits(shift_bits), .lowest(lowest), .highest(highest), .wide(wide),
        .bank_full(bank_full), .release_bank(release_bank), .bank(bank),
        .work_under_way(feed || feeding || requantising || !writer_idle)
    );

    // Buffers: weights of a channel tile begin with its biases, eight beats of two.
    wire         is_bias = loads_weights && beat_number < 16'd8;
    wire         word_valid;
    wire [127:0] word;
    reg  [15:0]  word_number;
    reg  [63:0]  biases[0:31];

    unpacker words (
        .clock(clock), .restart(load_begins), .packed_six(packed_six),
        .beat_valid(beat_valid && (loads_features || loads_weights) && !is_bias), .beat(beat),
        .word_valid(word_valid), .word(word)
    );

    always @(posedge clock) begin
        if (load_begins) word_number <= 16'd0;
        else if (word_valid) word_number <= word_number + 16'd1;
        if (beat_valid && is_bias) biases[{weights_tile, beat_number[2:0]}] <= beat;
    end

    // Work
    wire [STEP_BITS-1:0]     step;
    wire                     first, drain_begins;
    wire [POSITION_BITS-1:0] position;
    wire [1:0]               drain_tile;
    wire                     drained;

    feeder #(.POSITION_BITS(POSITION_BITS), .STEP_BITS(STEP_BITS)) feed_array (
        .clock(clock), .reset(reset), .start(feed), .steps(steps),
        .channel_tiles(channel_tiles), .position_tiles(position_tiles), .base(base),
        .bank_full(bank_full), .drained(drained), .running(feeding),
        .release_bank(release_bank), .bank(bank), .step(step), .valid(step_valid),
        .first(first), .position(position), .drain(drain_begins), .drain_tile(drain_tile)
    );

    // Stage 1: the step's offset. Stage 2: the address. Stage 3: features and weights.
    wire [2*POSITION_BITS-1:0] offsets;
    wire [127:0] read_features, read_weights;
    reg  [POSITION_BITS-1:0] position_1, address_2;
    reg  [STEP_BITS:0]       weight_1, weight_2;
    reg  [2:0]               valid_at, first_at;
    reg                      is_odd_1;
    wire [POSITION_BITS-1:0] offset_1 =
        is_odd_1 ? offsets[POSITION_BITS+:POSITION_BITS] : offsets[0+:POSITION_BITS];

    block_memory #(.WIDTH(2 * POSITION_BITS), .ADDRESS_BITS(STEP_BITS - 1)) offset_table (
        .clock(clock), .write(beat_valid && loads_offsets),
        .write_address(beat_number[STEP_BITS-2:0]),
        .write_word({beat[32+:POSITION_BITS], beat[0+:POSITION_BITS]}),
        .address(step[STEP_BITS-1:1]), .word(offsets)
    );
    feature_buffer #(.ADDRESS_BITS(POSITION_BITS)) feature_memory (
        .clock(clock), .write(word_valid && loads_features),
        .write_word(word_number[POSITION_BITS-5:0]), .write_features(word),
        .address(address_2), .features(read_features)
    );
    block_memory #(.WIDTH(128), .ADDRESS_BITS(STEP_BITS + 1)) weight_memory (
        .clock(clock), .write(word_valid && loads_weights && word_number < 16'd1 << STEP_BITS),
        .write_address({weights_tile[0], word_number[STEP_BITS-1:0]}), .write_word(word),
        .address(weight_2), .word(read_weights)
    );

    always @(posedge clock) begin
        position_1 <= position;
        is_odd_1   <= step[0];
        weight_1   <= {bank, step};
        address_2  <= position_1 + offset_1;
        weight_2   <= weight_1;
        valid_at   <= reset ? 3'd0 : {valid_at[1:0], step_valid};
        first_at   <= reset ? 3'd0 : {first_at[1:0], first};
    end

    reg  [ROWS*8-1:0]   features_4;
    reg  [PAIRS*25-1:0] weights_4;
    reg                 first_4;
    wire [PAIRS*25-1:0] paired;

    genvar pair;
    generate
        for (pair = 0; pair < PAIRS; pair = pair + 1) begin : pairs
            wire signed [7:0] low  = read_weights[pair*16+:8];
            wire signed [7:0] high = read_weights[pair*16+8+:8];
            assign paired[pair*25+:25] = {high[7], high, 16'd0} + {{17{low[7]}}, low};
        end
    endgenerate

    always @(posedge clock) begin
        features_4 <= valid_at[2] ? read_features : {ROWS * 8{1'b0}};
        weights_4  <= paired;
        first_4    <= first_at[2] && !reset;
    end

    // Sums, and what becomes of them
    wire [ROWS*32-1:0] sums;
    wire               captured, take, almost_full, push;
    wire [3:0]         channel;
    wire [1:0]         tile;
    wire [63:0]        outgoing;
    wire [63:0]        bias_pair = biases[{tile, channel[3:1]}];

    systolic_array #(.ROWS(ROWS), .PAIRS(PAIRS)) array (
        .clock(clock), .features(features_4), .first(first_4), .weights(weights_4),
        .shift(take), .results(sums), .captured(captured)
    );
    drain drain_array (
        .clock(clock), .reset(reset), .begins(first), .has_results(drain_begins),
        .channel_tile(drain_tile),
        .captured(captured), .almost_full(almost_full), .wide(wide), .take(take),
        .channel(channel), .tile(tile), .drained(drained)
    );
    requantiser #(.ROWS(ROWS)) requantise (
        .clock(clock), .reset(reset), .take(take), .sums(sums),
        .bias(channel[0] ? bias_pair[63:32] : bias_pair[31:0]), .shift_bits(shift_bits),
        .lowest(lowest), .highest(highest), .wide(wide), .busy(requantising), .push(push),
        .beat(outgoing)
    );
    writer memory_out (
        .clock(clock), .reset(reset), .start(feed), .address(output_address), .push(push),
        .beat(outgoing), .almost_full(almost_full), .idle(writer_idle), .failed(write_failed),
        .m_axi_awaddr(m_axi_awaddr), .m_axi_awvalid(m_axi_awvalid),
        .m_axi_awready(m_axi_awready), .m_axi_wdata(m_axi_wdata), .m_axi_wlast(m_axi_wlast),
        .m_axi_wvalid(m_axi_wvalid), .m_axi_wready(m_axi_wready), .m_axi_bresp(m_axi_bresp),
        .m_axi_bvalid(m_axi_bvalid), .m_axi_bready(m_axi_bready)
    );
endmodule
