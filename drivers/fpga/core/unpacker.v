// Beats of memory to words of 16 signed bytes. Plain: two beats a word. Packed: 16 six-bit
// numbers lie in 96 bits, so three beats make two words.
module unpacker (
    input  wire         clock,
    input  wire         restart,
    input  wire         packed_six,
    input  wire         beat_valid,
    input  wire [63:0]  beat,
    output reg          word_valid,
    output reg  [127:0] word
);
    reg [1:0]  phase;
    reg [63:0] held;

    wire [95:0] six = phase == 2'd1 ? {beat[31:0], held} : {beat, held[31:0]};
    wire [127:0] widened;
    genvar lane;
    generate
        for (lane = 0; lane < 16; lane = lane + 1) begin : lanes
            assign widened[lane*8+:8] = {{2{six[lane*6+5]}}, six[lane*6+:6]};
        end
    endgenerate

    always @(posedge clock) begin
        word_valid <= beat_valid && phase != 2'd0 && !restart;
        word       <= packed_six ? widened : {beat, held};
        if (restart) phase <= 2'd0;
        else if (beat_valid) begin
            phase <= phase == (packed_six ? 2'd2 : 2'd1) ? 2'd0 : phase + 2'd1;
            held  <= packed_six && phase == 2'd1 ? {32'd0, beat[63:32]} : beat;
        end
    end
endmodule
