// Walks a list of descriptors: fetch, load features and offsets where asked, then the weights of
// one channel tile after another into two banks while the feeder works on them.
module sequencer #(
    parameter integer POSITION_BITS = 17,
    parameter integer STEP_BITS     = 13
) (
    input  wire        clock,
    input  wire        reset,
    input  wire        start,
    input  wire [31:0] first_descriptor,
    output wire        busy,
    output reg         finished,        // for a cycle
    output reg         malformed,       // for a cycle: a descriptor that cannot be
    output reg  [31:0] descriptors_done,
    // The memory
    output reg         request,
    output reg  [31:0] address,
    output reg  [15:0] bursts,
    input  wire        reader_idle,
    input  wire        beat_valid,
    input  wire [63:0] beat,
    // The buffers
    output wire        loads_features,
    output wire        loads_offsets,
    output wire        loads_weights,
    output reg         load_begins,
    output wire        packed_six,
    output reg  [15:0] beat_number,
    output reg  [1:0]  weights_tile,
    // The work
    output reg         feed,
    output wire [STEP_BITS:0]       steps,
    output wire [15:0]              channel_tiles,
    output wire [15:0]              position_tiles,
    output wire [POSITION_BITS-1:0] base,
    output wire [31:0] output_address,
    output wire [4:0]  shift_bits,
    output wire [31:0] lowest,
    output wire [31:0] highest,
    output wire        wide,
    output reg  [1:0]  bank_full,
    input  wire        release_bank,
    input  wire        bank,
    input  wire        work_under_way
);
    localparam [31:0] MAGIC = 32'h4643_0001;
    localparam [15:0] FEATURE_BURSTS = 16'd1 << (POSITION_BITS - 7);
    localparam [2:0] IDLE = 3'd0, FETCH = 3'd1, CHECK = 3'd2, FEATURES = 3'd3, OFFSETS = 3'd4,
                     WEIGHTS = 3'd5, WORK = 3'd6;

    // verilator lint_off UNUSEDSIGNAL
    reg [511:0] fields;    // sixteen words; not every bit of each means something
    // verilator lint_on UNUSEDSIGNAL
    reg [2:0]   state;
    reg         asked;     // the request of this state has been made
    reg [15:0]  tile;
    reg [31:0]  next;
    reg [31:0]  weights_at;

    wire [5:0] flags = fields[5:0];
    wire [31:0] feature_address = fields[32+:32], offset_address = fields[96+:32];
    wire [31:0] weight_address = fields[160+:32];
    wire [15:0] feature_bursts = fields[64+:16], weight_bursts = fields[416+:16];
    wire        last = flags[5];
    wire        loaded = asked && reader_idle && !request;
    wire        bank_is_free = !bank_full[tile[0]];

    assign steps          = fields[128+:STEP_BITS+1];
    assign channel_tiles  = fields[192+:16];
    assign position_tiles = fields[224+:16];
    assign base           = fields[256+:POSITION_BITS];
    assign output_address = fields[288+:32];
    assign shift_bits     = fields[320+:5];
    assign lowest         = fields[352+:32];
    assign highest        = fields[384+:32];
    assign wide           = flags[4];

    assign busy           = state != IDLE;
    assign loads_features = state == FEATURES;
    assign loads_offsets  = state == OFFSETS;
    assign loads_weights  = state == WEIGHTS;
    assign packed_six     = state == FEATURES ? flags[2] : flags[3];

    wire is_sound = fields[480+:32] == MAGIC && steps != 0 && steps <= 1 << STEP_BITS
                    && channel_tiles != 0 && position_tiles != 0 && weight_bursts != 0
                    && feature_bursts <= FEATURE_BURSTS;
    // Two offsets a beat.
    wire [15:0] offset_bursts = {{(20 - STEP_BITS) {1'b0}}, steps[STEP_BITS:5]}
                                + {15'd0, steps[4:0] != 5'd0};

    task ask(input [31:0] from, input [15:0] count);
        begin
            request     <= 1'b1;
            address     <= from;
            bursts      <= count;
            asked       <= 1'b1;
            load_begins <= 1'b1;
            beat_number <= 16'd0;
        end
    endtask

    task enter(input [2:0] following);
        begin
            state <= following;
            asked <= 1'b0;
        end
    endtask

    always @(posedge clock) begin
        request     <= 1'b0;
        load_begins <= 1'b0;
        feed        <= 1'b0;
        finished    <= 1'b0;
        malformed   <= 1'b0;
        if (beat_valid) beat_number <= beat_number + 16'd1;
        if (release_bank) bank_full[bank] <= 1'b0;
        if (reset) begin
            enter(IDLE);
            bank_full <= 2'b00;
        end else case (state)
            IDLE: if (start) begin
                enter(FETCH);
                next             <= first_descriptor;
                bank_full        <= 2'b00;
                descriptors_done <= 32'd0;
            end
            FETCH: begin
                if (!asked) ask(next, 16'd1);
                if (beat_valid && beat_number < 16'd8) fields <= {beat, fields[511:64]};
                if (loaded) enter(CHECK);
            end
            CHECK: if (!is_sound) begin
                enter(IDLE);
                malformed <= 1'b1;
                finished  <= 1'b1;
            end else begin
                next <= next + 32'd128;
                tile <= 16'd0;
                weights_at <= weight_address;
                enter(flags[0] ? FEATURES : flags[1] ? OFFSETS : WEIGHTS);
                feed <= !flags[0] && !flags[1];
            end
            FEATURES: begin
                if (!asked) ask(feature_address, feature_bursts);
                if (loaded) begin
                    enter(flags[1] ? OFFSETS : WEIGHTS);
                    feed <= !flags[1];
                end
            end
            OFFSETS: begin
                if (!asked) ask(offset_address, offset_bursts);
                if (loaded) begin
                    enter(WEIGHTS);
                    feed <= 1'b1;
                end
            end
            WEIGHTS: begin
                if (!asked && bank_is_free) begin
                    ask(weights_at, weight_bursts);
                    weights_at   <= weights_at + {9'd0, weight_bursts, 7'd0};
                    weights_tile <= tile[1:0];
                end
                if (loaded) begin
                    bank_full[tile[0]] <= 1'b1;
                    tile <= tile + 16'd1;
                    enter(tile == channel_tiles - 16'd1 ? WORK : WEIGHTS);
                end
            end
            default: if (!work_under_way && bank_full == 2'b00) begin
                descriptors_done <= descriptors_done + 32'd1;
                enter(last ? IDLE : FETCH);
                finished <= last;
            end
        endcase
    end
endmodule
