// From int32 sums to what is stored: bias, rounding shift ((x >> (b-1)) + 1) >> 1, clamp. A step
// takes one channel of all rows; it leaves as int8 (2 beats of 8 bytes) or int32 (8 beats). The
// caller keeps as many cycles between two steps.
module requantiser #(
    parameter integer ROWS = 16
) (
    input  wire               clock,
    input  wire               reset,
    input  wire               take,
    input  wire [ROWS*32-1:0] sums,
    input  wire [31:0]        bias,
    input  wire [4:0]         shift_bits,  // 0: no shift
    input  wire signed [31:0] lowest,
    input  wire signed [31:0] highest,
    input  wire               wide,        // int32
    output wire               busy,
    output wire               push,
    output wire [63:0]        beat
);
    reg [ROWS*32-1:0] sum, biased, shifted, clamped;
    reg [31:0]        added;
    reg [3:0]         under_way;
    reg [ROWS*32-1:0] leaving;
    reg [3:0]         beats_left;

    wire [4:0] all_but_one = shift_bits - 5'd1;
    wire [ROWS*8-1:0] bytes;

    genvar row;
    generate
        for (row = 0; row < ROWS; row = row + 1) begin : lanes
            wire signed [31:0] whole = biased[row*32+:32];
            wire signed [31:0] most   = whole >>> all_but_one;
            wire signed [31:0] halved = $signed(most + 32'sd1) >>> 1;
            wire signed [31:0] value  = shifted[row*32+:32];
            always @(posedge clock) begin
                biased[row*32+:32]  <= sum[row*32+:32] + added;
                shifted[row*32+:32] <= shift_bits == 5'd0 ? whole : halved;
                clamped[row*32+:32] <= value < lowest ? lowest : value > highest ? highest : value;
            end
            assign bytes[row*8+:8] = clamped[row*32+:8];
        end
    endgenerate

    assign busy = under_way != 4'd0 || beats_left != 4'd0;
    assign push = beats_left != 4'd0;
    assign beat = leaving[63:0];

    always @(posedge clock) begin
        if (take) begin
            sum   <= sums;
            added <= bias;
        end
        if (reset) under_way <= 4'd0;
        else under_way <= {under_way[2:0], take};
        if (reset) beats_left <= 4'd0;
        else if (under_way[3]) beats_left <= wide ? 4'd8 : 4'd2;
        else if (push) beats_left <= beats_left - 4'd1;
        if (!under_way[3]) leaving <= leaving >> 64;
        else leaving <= wide ? clamped : {{(ROWS * 24) {1'b0}}, bytes};
    end
endmodule
